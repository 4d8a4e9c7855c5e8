//! One client: its requests in, its replies and messages out.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes, BytesMut};
use codis_core::resp::{Limits, RequestScanner, Value};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::timeout;

use super::commands::local::{self, Local};
use super::{Answer, Call, Request, Shared, Stats};
use crate::pubsub::{Mailbox, QUEUE_LEN, SessionId};

/// How long a client may leave replies unread.
const WRITE_TIMEOUT: Duration = Duration::from_secs(60);

/// Replies are written when so many bytes of them wait, even if more requests have arrived.
const FLUSH_BYTES: usize = 64 * 1024;

/// Limits of requests: the longest that means anything is a SET with every option.
const LIMITS: Limits = Limits {
    array_len_max: 4096,
    bulk_bytes_max: 256 * 1024,
    inline_bytes_max: 64 * 1024,
    depth_max: 1,
};

/// What a session knows of itself.
#[derive(Debug)]
pub struct Session {
    /// Its number.
    pub id: SessionId,
    /// The password was given, or none is needed.
    pub authenticated: bool,
    /// Subscriptions; with any, only some commands are allowed.
    pub subscriptions: usize,
    /// To be closed after the replies.
    pub closing: bool,
    /// What sessions share.
    pub shared: Arc<Shared>,
    mailbox: Mailbox,
}

/// Serves a client until it goes or is cut off.
pub async fn run<S>(stream: S, id: SessionId, shared: Arc<Shared>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (queue, messages) = mpsc::channel(QUEUE_LEN);
    let cut = Arc::new(Notify::new());
    let mut session = Session {
        id,
        authenticated: shared.requirepass.is_none(),
        subscriptions: 0,
        closing: false,
        shared: Arc::clone(&shared),
        mailbox: Mailbox {
            queue,
            cut: Arc::clone(&cut),
        },
    };
    {
        let mut cut_off = pin!(cut.notified());
        let mut served = pin!(session.serve(stream, messages));
        // An error is a client that went away: nothing to tell anybody.
        tokio::select! {
            _ = &mut served => {}
            () = &mut cut_off => {}
        }
    }
    shared.clients().remove(id);
    if session.subscriptions > 0 {
        let _ = shared.calls.send(Call::Gone(id)).await;
    }
}

impl Session {
    async fn serve<S>(
        &mut self,
        mut stream: S,
        mut messages: mpsc::Receiver<Bytes>,
    ) -> io::Result<()>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let mut input = BytesMut::new();
        let mut output = BytesMut::new();
        let mut scanner = RequestScanner::new(LIMITS);
        while !self.closing {
            let idle = self.idle_limit();
            tokio::select! {
                read = stream.read_buf(&mut input) => {
                    let count = read?;
                    if count == 0 {
                        return Ok(());
                    }
                    Stats::add(&self.shared.stats.input_bytes, count);
                }
                message = messages.recv() => {
                    output.extend(message);
                    drain(&mut messages, &mut output);
                }
                () = tokio::time::sleep(idle) => return Ok(()),
            }
            loop {
                match scanner.scan(&input) {
                    Ok(Some(length)) => {
                        let args = take(&mut input, &mut scanner, length);
                        self.execute(args, &mut output, &mut messages).await;
                    }
                    Ok(None) => break,
                    Err(error) => {
                        Value::error(format!("ERR Protocol error: {error}")).encode(&mut output);
                        self.closing = true;
                    }
                }
                if self.closing {
                    break;
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
            _ if self.subscriptions > 0 => FOR_EVER,
            seconds => Duration::from_secs(seconds),
        }
    }

    async fn execute(
        &mut self,
        args: Vec<Bytes>,
        output: &mut BytesMut,
        messages: &mut mpsc::Receiver<Bytes>,
    ) {
        let Some(name) = args.first() else {
            return;
        };
        Stats::add(&self.shared.stats.commands, 1);
        let command = String::from_utf8_lossy(name).to_ascii_lowercase();
        self.shared.clients().update(self.id, |client| {
            client.active = Instant::now();
            client.command.clone_from(&command);
        });
        let answer = match local::run(self, &command, &args) {
            Local::Answer(value) => value.into(),
            Local::Forward => self.ask(args).await,
        };
        if let Some(count) = answer.subscriptions {
            if count < self.subscriptions {
                drain(messages, output);
            }
            self.subscriptions = count;
            let update = |client: &mut super::clients::Client| client.subscriptions = count;
            self.shared.clients().update(self.id, update);
        }
        for value in &answer.values {
            value.encode(output);
        }
    }

    /// Asks the event loop.
    async fn ask(&mut self, args: Vec<Bytes>) -> Answer {
        let (answer, answered) = oneshot::channel();
        let request = Request {
            session: self.id,
            mailbox: self.mailbox.clone(),
            args,
            answer,
        };
        let asked = self.shared.calls.send(Call::Request(request)).await;
        match (asked, answered.await) {
            (Ok(()), Ok(answer)) => answer,
            _ => {
                self.closing = true;
                Value::error("ERR the sentinel is shutting down").into()
            }
        }
    }

    async fn flush<S>(&self, stream: &mut S, output: &mut BytesMut) -> io::Result<()>
    where
        S: AsyncWrite + Unpin,
    {
        if output.is_empty() {
            return Ok(());
        }
        Stats::add(&self.shared.stats.output_bytes, output.len());
        let written = async {
            stream.write_all_buf(output).await?;
            stream.flush().await
        };
        timeout(WRITE_TIMEOUT, written).await?
    }
}

fn drain(messages: &mut mpsc::Receiver<Bytes>, output: &mut BytesMut) {
    while let Ok(message) = messages.try_recv() {
        output.extend_from_slice(&message);
    }
}

/// Takes a complete request out of the input.
fn take(input: &mut BytesMut, scanner: &mut RequestScanner, length: usize) -> Vec<Bytes> {
    let copy = |range: &std::ops::Range<usize>| Bytes::copy_from_slice(&input[range.clone()]);
    let args = scanner.args().iter().map(copy).collect();
    scanner.reset();
    input.advance(length);
    args
}
