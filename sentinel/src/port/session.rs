//! One client: its requests in, its replies and messages out.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use codis_core::resp::{Protocol, Value};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::clients::Buffers;
use super::commands::acl;
use super::commands::local::{self, Local};
use super::outbox::Outbox;
use super::requests::Reader;
use super::{Answer, Call, Request, Shared, Stats};
use crate::acl::DEFAULT;
use crate::pubsub::{Count, SessionId};

mod ahead;

use ahead::Ahead;

/// How long a client may leave replies unread.
const WRITE_TIMEOUT: Duration = Duration::from_secs(60);

/// Replies are written when so many bytes of them wait, even if more requests have arrived.
const FLUSH_BYTES: usize = 64 * 1024;

/// Whether requests are answered, by CLIENT REPLY.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub enum Replies {
    /// They are.
    #[default]
    On,
    /// They are not.
    Off,
    /// The next one is not.
    SkipNext,
    /// The present one is not.
    Skip,
}

/// What a session knows of itself.
#[derive(Debug)]
pub struct Session {
    /// Its number.
    pub id: SessionId,
    /// The password was given, or none is needed.
    pub authenticated: bool,
    /// Who it is.
    pub user: String,
    /// The version of the protocol.
    pub protocol: Protocol,
    /// Whether requests are answered.
    pub replies: Replies,
    /// Subscriptions; with any, only some commands are allowed in RESP2.
    pub subscriptions: Count,
    /// To be closed after the replies.
    pub closing: bool,
    /// What sessions share.
    pub shared: Arc<Shared>,
    outbox: Arc<Outbox>,
    ahead: Ahead,
    buffers: Buffers,
}

/// Serves a client until it goes or is cut off.
pub async fn run<S>(stream: S, id: SessionId, shared: Arc<Shared>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let Some(outbox) = shared.clients().get(id).map(|row| Arc::clone(&row.outbox)) else {
        return;
    };
    let mut session = Session {
        id,
        authenticated: shared.access.state().users.is_open(),
        user: DEFAULT.to_owned(),
        protocol: Protocol::default(),
        replies: Replies::default(),
        subscriptions: Count::default(),
        closing: false,
        shared: Arc::clone(&shared),
        outbox: Arc::clone(&outbox),
        ahead: Ahead::default(),
        buffers: Buffers::default(),
    };
    {
        let mut cut_off = pin!(outbox.is_cut());
        let mut served = pin!(session.serve(stream));
        // An error is a client that went away: nothing to tell anybody.
        tokio::select! {
            _ = &mut served => {}
            () = &mut cut_off => {}
        }
    }
    shared.clients().remove(id);
    // Also after a cut in the middle of a SUBSCRIBE, which the session knows nothing of yet.
    let _ = shared.calls.send(Call::Gone(id)).await;
}

impl Session {
    async fn serve<S>(&mut self, mut stream: S) -> io::Result<()>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let outbox = Arc::clone(&self.outbox);
        let mut input = BytesMut::new();
        let mut output = BytesMut::new();
        let mut reader = Reader::default();
        while !self.closing {
            let idle = self.idle_limit();
            tokio::select! {
                read = stream.read_buf(&mut input) => {
                    let count = read?;
                    if count == 0 {
                        return Ok(());
                    }
                    Stats::add(&self.shared.stats.reads, 1);
                    Stats::add(&self.shared.stats.input_bytes, count);
                }
                () = outbox.filled() => {}
                answer = self.ahead.next() => {
                    self.reply(&answer, &mut output);
                    while let Some(answer) = self.ahead.try_next() {
                        self.reply(&answer, &mut output);
                    }
                }
                () = tokio::time::sleep(idle) => return Ok(()),
            }
            while outbox.drain(self.protocol, &mut output, FLUSH_BYTES) {
                self.flush(&mut stream, &mut output).await?;
            }
            while !self.closing {
                match reader.next(&mut input, self.authenticated) {
                    Ok(Some(args)) => {
                        self.measure(&input, &reader, &args, &output);
                        self.execute(args, &mut output).await;
                    }
                    Ok(None) => break,
                    Err(fault) => {
                        Stats::add(
                            &self.shared.stats.query_limited,
                            usize::from(fault.is_limit()),
                        );
                        self.emit(&Value::error(fault.reply()), &mut output);
                        self.closing = true;
                    }
                }
                if output.len() >= FLUSH_BYTES {
                    self.flush(&mut stream, &mut output).await?;
                }
            }
            self.flush(&mut stream, &mut output).await?;
        }
        Ok(())
    }

    /// How long the client may be silent. A subscriber may be for ever.
    fn idle_limit(&self) -> Duration {
        const FOR_EVER: Duration = Duration::from_secs(365 * 24 * 3600);
        match self.shared.timeout_secs {
            0 => FOR_EVER,
            _ if self.subscriptions.all() > 0 => FOR_EVER,
            seconds => Duration::from_secs(seconds),
        }
    }

    /// Notes what is held in memory, for CLIENT LIST.
    fn measure(&mut self, input: &BytesMut, reader: &Reader, args: &[Bytes], output: &BytesMut) {
        self.buffers = Buffers {
            query: input.len() + reader.held_bytes(),
            query_free: input.capacity() - input.len(),
            words: args.iter().map(Bytes::len).sum(),
            output: output.capacity(),
            output_used: output.len(),
        };
    }

    async fn execute(&mut self, args: Vec<Bytes>, output: &mut BytesMut) {
        let Some(name) = args.first() else {
            return;
        };
        if self.replies == Replies::SkipNext {
            self.replies = Replies::Skip;
        }
        if name.eq_ignore_ascii_case(b"post") || name.eq_ignore_ascii_case(b"host:") {
            return self.refuse_browser();
        }
        Stats::add(&self.shared.stats.commands, 1);
        let admitted = local::admit(self, &args);
        self.note_command(admitted.as_ref().unwrap_or(&"NULL"));
        let goes_ahead = admitted
            .as_ref()
            .is_ok_and(|command| self.may_go_ahead(command));
        if !goes_ahead {
            self.catch_up(output).await;
        }
        let answer = match admitted {
            Err(error) => Some(Value::error(error.into_bytes()).into()),
            Ok(command) => {
                self.wait_while_paused(command).await;
                match local::run(self, command, &args) {
                    Local::Answer(value) => Some(value.into()),
                    Local::Silent => None,
                    Local::Forward if goes_ahead => {
                        self.ask_ahead(args).await;
                        None
                    }
                    Local::Forward => Some(self.ask(args).await),
                    Local::LoadUsers => Some(acl::file::load(self).await),
                    Local::SaveUsers => Some(acl::file::save(self).await),
                }
            }
        };
        match answer {
            Some(answer) if self.ahead.is_empty() => self.reply(&answer, output),
            Some(answer) => self.ahead.push(answer),
            None => {}
        }
        if self.replies == Replies::Skip {
            self.replies = Replies::On;
        }
    }

    /// A browser that was made to send a request to this port must not be heard.
    fn refuse_browser(&mut self) {
        self.shared.log.warning(
            "A client sent POST or Host:, as a browser does and no client of a sentinel: \
             possible attack, connection closed",
        );
        self.closing = true;
    }

    fn note_command(&self, command: &str) {
        self.shared.clients().update(self.id, |client| {
            client.active = Instant::now();
            client.command.clear();
            client.command.push_str(command);
            client.buffers = self.buffers;
            if !command.starts_with("client")
                && let Some(tracking) = &mut client.tracking
            {
                tracking.caching = None;
            }
        });
    }

    async fn wait_while_paused(&self, command: &str) {
        let mut pause = self.shared.pause.subscribe();
        loop {
            let now = Instant::now();
            let held = pause
                .borrow_and_update()
                .and_then(|p| p.holds(command, now));
            let Some(until) = held else {
                return;
            };
            tokio::select! {
                () = tokio::time::sleep_until(until.into()) => {}
                // The sender is shared and outlives this session.
                _ = pause.changed() => {}
            }
        }
    }

    fn reply(&mut self, answer: &Answer, output: &mut BytesMut) {
        if let Some(count) = answer.subscriptions {
            if count.all() < self.subscriptions.all() {
                self.outbox.drain(self.protocol, output, usize::MAX);
            }
            self.subscriptions = count;
            let update = |client: &mut super::clients::Client| client.subscriptions = count;
            self.shared.clients().update(self.id, update);
        }
        for value in &answer.values {
            self.emit(value, output);
        }
        self.closing |= answer.closing;
    }

    /// Writes a reply, unless there are to be none; confirmations of subscriptions always come.
    fn emit(&self, value: &Value, output: &mut BytesMut) {
        if value.as_error().is_some() {
            Stats::add(&self.shared.stats.errors, 1);
        }
        if self.replies == Replies::On || matches!(value, Value::Push(_)) {
            value.encode_as(self.protocol, output);
        }
    }

    /// Whether a request may be carried out before those ahead of it are answered.
    fn may_go_ahead(&self, command: &str) -> bool {
        let paused = self.shared.pause.borrow().is_some();
        let answers = self.replies == Replies::On;
        answers && !paused && ahead::may(command) && self.ahead.len() < ahead::LEN_MAX
    }

    /// Waits for all answers that are outstanding.
    async fn catch_up(&mut self, output: &mut BytesMut) {
        while !self.ahead.is_empty() {
            let answer = self.ahead.next().await;
            self.reply(&answer, output);
        }
    }

    /// Asks the event loop.
    async fn ask(&mut self, args: Vec<Bytes>) -> Answer {
        let answered = self.forward(args).await;
        answered.await.unwrap_or_else(|_| Answer::closing())
    }

    /// Asks the event loop and goes on; the answer comes in its turn.
    async fn ask_ahead(&mut self, args: Vec<Bytes>) {
        let answered = self.forward(args).await;
        self.ahead.wait_for(answered);
    }

    async fn forward(&self, args: Vec<Bytes>) -> oneshot::Receiver<Answer> {
        let (answer, answered) = oneshot::channel();
        let request = Request {
            session: self.id,
            outbox: Arc::clone(&self.outbox),
            args,
            answer,
        };
        // A loop that has ended drops the sender, which the receiver tells.
        let _ = self.shared.calls.send(Call::Request(request)).await;
        answered
    }

    async fn flush<S>(&self, stream: &mut S, output: &mut BytesMut) -> io::Result<()>
    where
        S: AsyncWrite + Unpin,
    {
        if output.is_empty() {
            return Ok(());
        }
        Stats::add(&self.shared.stats.writes, 1);
        Stats::add(&self.shared.stats.output_bytes, output.len());
        let written = async {
            stream.write_all_buf(output).await?;
            stream.flush().await
        };
        timeout(WRITE_TIMEOUT, written).await?
    }
}
