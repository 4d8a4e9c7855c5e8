//! The task of a pub/sub connection: listens to the hellos that sentinels exchange on a server.

use std::io;

use bytes::BytesMut;
use codis_core::addr::Addr;
use codis_core::resp::{Value, encode_command};
use codis_sentinel_proto::hello::{CHANNEL, Hello};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::command::renamed;
use super::connect::{self, Opened, Target};
use super::wire::next_value;
use super::{News, Reporter};
use crate::conf::hosts;

pub(super) async fn run(target: Target, reporter: Reporter) {
    let reason = match connect::open(&target).await {
        Ok(opened) => connect::reason(&listen(opened, &target, &reporter).await),
        Err(reason) => reason,
    };
    reporter.send(News::Gone(reason)).await;
}

/// Listens until the connection ends, and tells how it ended.
async fn listen(opened: Opened, target: &Target, reporter: &Reporter) -> io::Error {
    let Opened {
        mut stream,
        local_ip,
    } = opened;
    let mut greeting = target.greeting();
    let subscribe = renamed(&target.renames, "SUBSCRIBE");
    greeting.push(vec![subscribe, CHANNEL.as_bytes().to_vec()]);
    let mut out = Vec::new();
    for words in &greeting {
        encode_command(&mut out, words);
    }
    let written = async {
        stream.write_all(&out).await?;
        stream.flush().await
    };
    if let Err(error) = written.await {
        return error;
    }
    reporter.send(News::Connected { local_ip }).await;
    let mut unread = BytesMut::new();
    loop {
        match stream.read_buf(&mut unread).await {
            Ok(0) => return io::ErrorKind::UnexpectedEof.into(),
            Ok(_) => {}
            Err(error) => return error,
        }
        reporter.send(News::Activity).await;
        loop {
            match next_value(&mut unread) {
                Ok(Some(value)) => {
                    if let Some(hello) = hello(&value, target) {
                        reporter.send(News::Hello(hello)).await;
                    }
                }
                Ok(None) => break,
                Err(error) => return error,
            }
        }
    }
}

/// The hello in a message, unless it is our own.
fn hello(value: &Value, target: &Target) -> Option<Hello> {
    let [kind, _, payload] = value.as_array()? else {
        return None;
    };
    if kind.as_bytes() != Some(b"message") {
        return None;
    }
    foreign_hello(payload.as_str()?, &target.myid, target.names)
}

/// A hello that is not our own (one that names our id anywhere is) and that names usable hosts.
pub fn foreign_hello(payload: &str, myid: &str, names: bool) -> Option<Hello> {
    if payload.contains(myid) {
        return None;
    }
    let hello = Hello::parse(payload)?;
    let usable = |addr: &Addr| addr.port() != 0 && hosts::is_usable(addr.host(), names);
    (usable(&hello.from) && usable(&hello.master)).then_some(hello)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_hellos_and_those_without_an_address_are_dropped() {
        let hello = |payload: &str| foreign_hello(payload, "me", false).is_some();
        assert!(hello("127.0.0.1,26379,peer,7,m,127.0.0.2,6379,5"));
        assert!(!hello("127.0.0.1,26379,me,7,m,127.0.0.2,6379,5"));
        assert!(!hello(",26379,peer,7,m,127.0.0.2,6379,5"));
        assert!(!hello("127.0.0.1,26379,peer,7,m,127.0.0.2,0,5"));
        assert!(!hello("127.0.0.1,26379,peer,7,m,not an address,6379,5"));
    }
}
