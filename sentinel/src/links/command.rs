//! The machine's commands as bytes, and the replies to them as the machine wants them.

use std::collections::BTreeMap;
use std::sync::Arc;

use codis_core::addr::Addr;
use codis_core::resp::{Value, encode_command};
use codis_sentinel_proto::effect::WRITE_PROBE_KEY;
use codis_sentinel_proto::hello::CHANNEL;
use codis_sentinel_proto::ids::{CommandId, SentinelId};
use codis_sentinel_proto::info::Info;
use codis_sentinel_proto::{
    CannotTell, Command, Opinion, PingReply, Reply, WriteProbe, WriteRefusal,
};

use crate::conf::hosts;

/// The words of one command.
pub type Words = Vec<Vec<u8>>;

/// A command on its way out.
#[derive(Debug)]
pub struct Outgoing {
    /// The machine's name for it.
    pub id: CommandId,
    /// What is written.
    pub bytes: Vec<u8>,
    /// What its replies mean.
    pub expect: Expect,
}

/// What the replies to a command mean.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Expect {
    /// One to PING.
    Ping,
    /// One to INFO.
    Info,
    /// One to PUBLISH.
    Published,
    /// One to IS-MASTER-DOWN-BY-ADDR.
    MasterDown,
    /// Six: to MULTI, four queued commands, and EXEC.
    Reconfigured,
    /// One to the order to hand over, or not to.
    Ordered,
    /// One to SCRIPT KILL.
    ScriptKilled,
    /// One to the write that changes nothing.
    WriteProbed,
}

impl Expect {
    /// How many replies come.
    pub const fn count(self) -> usize {
        match self {
            Self::Reconfigured => 6,
            Self::Ping
            | Self::Info
            | Self::Published
            | Self::MasterDown
            | Self::Ordered
            | Self::ScriptKilled
            | Self::WriteProbed => 1,
        }
    }

    /// The meaning of all its replies. Host names in them count only if `names` are allowed.
    pub fn reply(self, values: &[Value], names: bool) -> Reply {
        let first = values.first();
        match self {
            Self::Ping => Reply::Ping(first.map_or(PingReply::Other, ping)),
            Self::Info => {
                let text = first.and_then(Value::as_bytes);
                Reply::Info(text.map(|text| Arc::new(info(text, names))))
            }
            Self::Published => Reply::Published(first.is_some_and(|v| v.as_error().is_none())),
            Self::MasterDown => Reply::MasterDown(first.and_then(opinion)),
            Self::Reconfigured => Reply::Reconfigured(reconfigured(values)),
            Self::Ordered => {
                let error = first.and_then(Value::as_error);
                Reply::Reconfigured(error.map_or(Ok(()), |error| Err(error.into_owned())))
            }
            Self::ScriptKilled => Reply::ScriptKilled,
            Self::WriteProbed => {
                let unknown = WriteProbe::CannotTell(CannotTell::Other);
                Reply::WriteProbed(first.map_or(unknown, write_probe))
            }
        }
    }
}

/// Encodes a command for a server that may know commands by other names.
pub fn encode(id: CommandId, command: &Command, renames: &BTreeMap<String, String>) -> Outgoing {
    let word = |name: &str| renamed(renames, name);
    let text = |text: &str| text.as_bytes().to_vec();
    let (commands, expect): (Vec<Words>, Expect) = match command {
        Command::Ping => (vec![vec![word("PING")]], Expect::Ping),
        Command::Info => (vec![vec![word("INFO")]], Expect::Info),
        Command::Publish(hello) => {
            let words = vec![word("PUBLISH"), text(CHANNEL), text(&hello.to_string())];
            (vec![words], Expect::Published)
        }
        Command::IsMasterDown {
            master,
            epoch,
            candidate,
        } => {
            let words = vec![
                word("SENTINEL"),
                text("is-master-down-by-addr"),
                text(master.host()),
                text(&master.port().to_string()),
                text(&epoch.to_string()),
                text(candidate.as_ref().map_or("*", SentinelId::as_str)),
            ];
            (vec![words], Expect::MasterDown)
        }
        Command::Reconfigure { follow } => {
            (transaction(follow.as_ref(), renames), Expect::Reconfigured)
        }
        Command::HandOver { to, timeout } => {
            let (port, millis) = (
                to.port().to_string(),
                timeout.as_millis().max(1).to_string(),
            );
            let rest = ["TO", to.host(), &port, "TIMEOUT", &millis].map(text);
            let words = std::iter::once(word("FAILOVER")).chain(rest);
            (vec![words.collect()], Expect::Ordered)
        }
        Command::AbortHandOver => {
            let words = vec![word("FAILOVER"), text("ABORT")];
            (vec![words], Expect::Ordered)
        }
        Command::Follow { master } => {
            let (host, port) = (text(master.host()), text(&master.port().to_string()));
            (vec![vec![word("SLAVEOF"), host, port]], Expect::Ordered)
        }
        Command::ScriptKill => {
            let words = vec![word("SCRIPT"), text("KILL")];
            (vec![words], Expect::ScriptKilled)
        }
        Command::WriteProbe => {
            let words = vec![
                word("SETRANGE"),
                text(WRITE_PROBE_KEY),
                text("0"),
                Vec::new(),
            ];
            (vec![words], Expect::WriteProbed)
        }
    };
    let mut bytes = Vec::new();
    for words in &commands {
        encode_command(&mut bytes, words);
    }
    Outgoing { id, bytes, expect }
}

/// `SLAVEOF` and what goes with it, in one transaction.
fn transaction(follow: Option<&Addr>, renames: &BTreeMap<String, String>) -> Vec<Words> {
    let word = |name: &str| renamed(renames, name);
    let text = |text: &str| text.as_bytes().to_vec();
    let (host, port) = follow.map_or_else(
        || (text("NO"), text("ONE")),
        |addr| (text(addr.host()), text(&addr.port().to_string())),
    );
    let kill = |kind| vec![word("CLIENT"), text("KILL"), text("TYPE"), text(kind)];
    vec![
        vec![word("MULTI")],
        vec![word("SLAVEOF"), host, port],
        vec![word("CONFIG"), text("REWRITE")],
        kill("normal"),
        kill("pubsub"),
        vec![word("EXEC")],
    ]
}

/// The name by which a server knows a command.
pub fn renamed(renames: &BTreeMap<String, String>, command: &str) -> Vec<u8> {
    let name = renames.get(command).map_or(command, String::as_str);
    name.as_bytes().to_vec()
}

/// Reads INFO. A replica that gives itself a name cannot be reached where names are not resolved.
fn info(text: &[u8], names: bool) -> Info {
    let mut info = Info::parse(&String::from_utf8_lossy(text));
    info.replicas
        .retain(|addr| hosts::is_usable(addr.host(), names));
    info
}

fn ping(value: &Value) -> PingReply {
    if value.as_bytes() == Some(b"PONG") {
        return PingReply::Pong;
    }
    let text = value.as_error().unwrap_or_default();
    if text.starts_with("LOADING") {
        PingReply::Loading
    } else if text.starts_with("MASTERDOWN") {
        PingReply::MasterDown
    } else if text.starts_with("BUSY") {
        PingReply::Busy
    } else if text.starts_with("MISCONF") {
        PingReply::Misconf
    } else {
        PingReply::Other
    }
}

fn write_probe(value: &Value) -> WriteProbe {
    let Some(error) = value.as_error() else {
        return WriteProbe::Accepted;
    };
    match error.split(' ').next().unwrap_or_default() {
        "WRONGTYPE" => WriteProbe::Accepted,
        "MISCONF" => WriteProbe::Refused(WriteRefusal::Disk),
        "OOM" => WriteProbe::Refused(WriteRefusal::Memory),
        "NOREPLICAS" => WriteProbe::Refused(WriteRefusal::Replicas),
        "READONLY" => WriteProbe::Refused(WriteRefusal::ReadOnly),
        "LOADING" | "BUSY" | "MASTERDOWN" => WriteProbe::NotNow,
        "NOPERM" => WriteProbe::CannotTell(CannotTell::NoPermission),
        "NOAUTH" | "WRONGPASS" => WriteProbe::CannotTell(CannotTell::NoAuth),
        "MOVED" | "ASK" | "CLUSTERDOWN" | "CROSSSLOT" => {
            WriteProbe::CannotTell(CannotTell::Cluster)
        }
        _ => WriteProbe::CannotTell(CannotTell::Other),
    }
}

fn opinion(value: &Value) -> Option<Opinion> {
    let [down, leader, epoch] = value.as_array()? else {
        return None;
    };
    let leader = leader.as_str()?;
    Some(Opinion {
        down: down.as_int()? == 1,
        leader: (leader != "*").then(|| SentinelId::new(leader)),
        leader_epoch: codis_core::epoch::Epoch(u64::try_from(epoch.as_int()?).ok()?),
    })
}

/// Whether the role was changed. A server without a config file refuses CONFIG REWRITE inside the
/// transaction, and the role changes all the same; so of the results only that of SLAVEOF counts.
fn reconfigured(values: &[Value]) -> Result<(), String> {
    if let Some(error) = values.iter().find_map(Value::as_error) {
        return Err(error.into_owned());
    }
    let results = values.last().and_then(Value::as_array);
    let changed = results
        .and_then(|r| r.first())
        .ok_or("EXEC gave no result")?;
    changed
        .as_error()
        .map_or(Ok(()), |error| Err(error.into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reconfiguration_is_six_commands() {
        let renames = BTreeMap::from([("CONFIG".to_owned(), "cfg".to_owned())]);
        let follow = Some(Addr::new("127.0.0.1", 6379));
        let out = encode(CommandId(1), &Command::Reconfigure { follow }, &renames);
        let text = String::from_utf8(out.bytes).unwrap();
        let words: Vec<&str> = text
            .split("\r\n")
            .filter(|w| !w.starts_with(['*', '$']))
            .collect();
        assert_eq!(
            words.join(" ").trim(),
            "MULTI SLAVEOF 127.0.0.1 6379 cfg REWRITE CLIENT KILL TYPE normal \
             CLIENT KILL TYPE pubsub EXEC"
        );
        assert_eq!(out.expect.count(), 6);
    }

    #[test]
    fn a_master_is_told_to_whom_it_hands_over_and_how_long_it_may_take() {
        let renames = BTreeMap::from([("FAILOVER".to_owned(), "fo".to_owned())]);
        let command = Command::HandOver {
            to: Addr::new("127.0.0.1", 6379),
            timeout: std::time::Duration::from_micros(500_900),
        };
        let out = encode(CommandId(1), &command, &renames);
        let text = String::from_utf8(out.bytes).unwrap();
        let mut words = text.split("\r\n").filter(|w| !w.starts_with(['*', '$']));
        let line: Vec<&str> = words.by_ref().collect();
        assert_eq!(line.join(" ").trim(), "fo TO 127.0.0.1 6379 TIMEOUT 500");
        let refused = Value::error("NOPERM no");
        let reply = out.expect.reply(&[refused], false);
        assert!(matches!(reply, Reply::Reconfigured(Err(text)) if text == "NOPERM no"));
    }

    #[test]
    fn only_the_change_of_role_counts() {
        let queued = || Value::simple("QUEUED");
        let exec = |first: Value| {
            Value::array([
                first,
                Value::error("ERR no config file"),
                Value::Integer(0),
                Value::Integer(0),
            ])
        };
        let replies = |first| {
            vec![
                Value::ok(),
                queued(),
                queued(),
                queued(),
                queued(),
                exec(first),
            ]
        };
        let good = Expect::Reconfigured.reply(&replies(Value::ok()), false);
        assert!(matches!(good, Reply::Reconfigured(Ok(()))));
        let bad = Expect::Reconfigured.reply(&replies(Value::error("ERR x")), false);
        assert!(matches!(bad, Reply::Reconfigured(Err(_))));
    }

    #[test]
    fn a_write_that_changes_nothing_tells_whether_writes_are_taken() {
        let renames = BTreeMap::from([("SETRANGE".to_owned(), "sr".to_owned())]);
        let out = encode(CommandId(1), &Command::WriteProbe, &renames);
        let key = WRITE_PROBE_KEY;
        let words = format!(
            "*4\r\n$2\r\nsr\r\n${}\r\n{key}\r\n$1\r\n0\r\n$0\r\n\r\n",
            key.len()
        );
        assert_eq!(String::from_utf8(out.bytes).unwrap(), words);
        let refused = WriteProbe::Refused;
        let cannot_tell = WriteProbe::CannotTell;
        for (value, expected) in [
            (Value::Integer(0), WriteProbe::Accepted),
            (Value::error("WRONGTYPE x"), WriteProbe::Accepted),
            (Value::error("MISCONF x"), refused(WriteRefusal::Disk)),
            (Value::error("OOM x"), refused(WriteRefusal::Memory)),
            (
                Value::error("NOREPLICAS x"),
                refused(WriteRefusal::Replicas),
            ),
            (Value::error("READONLY x"), refused(WriteRefusal::ReadOnly)),
            (Value::error("LOADING x"), WriteProbe::NotNow),
            (
                Value::error("NOPERM x"),
                cannot_tell(CannotTell::NoPermission),
            ),
            (
                Value::error("ERR unknown command"),
                cannot_tell(CannotTell::Other),
            ),
        ] {
            let Reply::WriteProbed(probe) = Expect::WriteProbed.reply(&[value], false) else {
                panic!("a probe");
            };
            assert_eq!(probe, expected);
        }
    }

    #[test]
    fn replies_are_told_apart() {
        let of = |value| match Expect::Ping.reply(&[value], false) {
            Reply::Ping(ping) => ping,
            other => panic!("{other:?}"),
        };
        assert_eq!(of(Value::simple("PONG")), PingReply::Pong);
        assert_eq!(of(Value::error("LOADING x")), PingReply::Loading);
        assert_eq!(of(Value::error("NOAUTH x")), PingReply::Other);
        assert_eq!(of(Value::error("MISCONF x")), PingReply::Misconf);
        let vote = Value::array([Value::Integer(1), Value::bulk("*"), Value::Integer(4)]);
        let Reply::MasterDown(Some(opinion)) = Expect::MasterDown.reply(&[vote], false) else {
            panic!("an opinion");
        };
        assert!(opinion.down && opinion.leader.is_none() && opinion.leader_epoch.0 == 4);
        let text = "slave0:ip=127.0.0.1,port=1\r\nslave1:ip=some.host,port=2\r\n";
        for (names, count) in [(false, 1), (true, 2)] {
            let Reply::Info(Some(info)) = Expect::Info.reply(&[Value::bulk(text)], names) else {
                panic!("an INFO");
            };
            assert_eq!(info.replicas.len(), count);
        }
    }
}
