//! The task of a command connection: writes what is queued, in one write for what is queued
//! together, and pairs replies with commands by their order.

use std::collections::VecDeque;
use std::io;

use bytes::{Buf, BytesMut};
use codis_core::resp::{Limits, Value, encode_command};
use codis_sentinel_proto::ids::CommandId;
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;

use super::command::{Expect, Outgoing};
use super::connect::{self, Opened, Stream, Target};
use super::{News, REPLY_BYTES_MAX, Reporter};

/// Commands taken from the queue for one write.
const BATCH_LEN: usize = 256;

/// Bytes that wait to be written before the queue is left alone.
const UNSENT_BYTES_MAX: usize = 256 * 1024;

/// Limits of replies on any link.
pub(super) const LIMITS: Limits = Limits {
    array_len_max: 64 * 1024,
    bulk_bytes_max: REPLY_BYTES_MAX,
    inline_bytes_max: 64 * 1024,
    depth_max: 8,
};

pub(super) async fn run(target: Target, mut orders: mpsc::Receiver<Outgoing>, reporter: Reporter) {
    let Opened {
        mut stream,
        local_ip,
    } = match connect::open(&target).await {
        Ok(opened) => opened,
        Err(reason) => return reporter.send(News::Gone(reason)).await,
    };
    let mut wire = Wire {
        names: target.names,
        ..Wire::default()
    };
    for words in target.greeting() {
        encode_command(&mut wire.unsent, &words);
        wire.unanswered.push_back(Awaited::Ignored);
    }
    // The buffer of a new socket takes a greeting whole, so this does not wait for the peer.
    if let Err(error) = wire.write(&mut stream).await {
        return reporter.send(News::Gone(connect::reason(&error))).await;
    }
    reporter.send(News::Connected { local_ip }).await;
    let error = wire.serve(&mut stream, &mut orders, &reporter).await;
    reporter.send(News::Gone(connect::reason(&error))).await;
}

/// A command whose replies are not complete.
enum Awaited {
    Ignored,
    Command {
        id: CommandId,
        expect: Expect,
        values: Vec<Value>,
    },
}

/// State of one open connection.
#[derive(Default)]
struct Wire {
    unsent: BytesMut,
    unread: BytesMut,
    unanswered: VecDeque<Awaited>,
    /// Host names may be used.
    names: bool,
}

impl Wire {
    /// Serves until the connection ends, and tells how it ended.
    async fn serve<S: Stream>(
        &mut self,
        stream: &mut S,
        orders: &mut mpsc::Receiver<Outgoing>,
        reporter: &Reporter,
    ) -> io::Error {
        let (mut reader, mut writer) = tokio::io::split(stream);
        let mut batch = Vec::new();
        // An encrypted connection keeps what was written until it is flushed.
        let mut has_unflushed = false;
        loop {
            let has_unsent = !self.unsent.is_empty();
            has_unflushed |= has_unsent;
            let has_room = self.unsent.len() < UNSENT_BYTES_MAX;
            let done = tokio::select! {
                read = reader.read_buf(&mut self.unread) => match read {
                    Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
                    Ok(_) => self.answer(reporter).await,
                    Err(error) => Err(error),
                },
                taken = orders.recv_many(&mut batch, BATCH_LEN), if has_room => {
                    if taken == 0 {
                        return io::ErrorKind::Other.into();
                    }
                    self.take(&mut batch);
                    Ok(())
                },
                pushed = push(&mut writer, &mut self.unsent), if has_unflushed => {
                    has_unflushed = has_unsent;
                    pushed
                }
            };
            if let Err(error) = done {
                return error;
            }
        }
    }

    async fn write<S: Stream>(&mut self, stream: &mut S) -> io::Result<()> {
        stream.write_all_buf(&mut self.unsent).await?;
        stream.flush().await
    }

    fn take(&mut self, batch: &mut Vec<Outgoing>) {
        for Outgoing { id, bytes, expect } in batch.drain(..) {
            self.unsent.extend_from_slice(&bytes);
            let values = Vec::new();
            self.unanswered
                .push_back(Awaited::Command { id, expect, values });
        }
    }

    /// Reports every complete reply.
    async fn answer(&mut self, reporter: &Reporter) -> io::Result<()> {
        while let Some(value) = next_value(&mut self.unread)? {
            let Some(awaited) = self.unanswered.front_mut() else {
                return Err(io::Error::other("a reply to no command"));
            };
            if let Awaited::Command { id, expect, values } = awaited {
                values.push(value);
                if values.len() < expect.count() {
                    continue;
                }
                let news = News::Reply(*id, expect.reply(values, self.names));
                reporter.send(news).await;
            }
            self.unanswered.pop_front();
        }
        Ok(())
    }
}

/// Writes some of what is unsent, or flushes what was written. Nothing is lost when it is dropped.
async fn push(writer: &mut (impl AsyncWrite + Unpin), unsent: &mut BytesMut) -> io::Result<()> {
    if unsent.is_empty() {
        return writer.flush().await;
    }
    writer.write_buf(unsent).await.map(drop)
}

/// Takes the next complete value out of a buffer.
pub(super) fn next_value(buffer: &mut BytesMut) -> io::Result<Option<Value>> {
    match Value::parse(buffer, &LIMITS) {
        Ok(Some((value, length))) => {
            buffer.advance(length);
            Ok(Some(value))
        }
        Ok(None) if buffer.len() > 2 * REPLY_BYTES_MAX => Err(io::Error::other("too long a reply")),
        Ok(None) => Ok(None),
        Err(error) => Err(io::Error::other(error)),
    }
}
