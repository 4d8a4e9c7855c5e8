//! Inputs and effects as one line of the trace each.

use std::fmt;

use codis_sentinel_proto::info::Role;
use codis_sentinel_proto::{Command, Effect, Input, Opinion, Reply};

/// An input on one line.
pub const fn input(input: &Input) -> InputLine<'_> {
    InputLine(input)
}

/// An effect on one line.
pub const fn effect(effect: &Effect) -> EffectLine<'_> {
    EffectLine(effect)
}

/// See [`input`].
pub struct InputLine<'a>(&'a Input);

/// See [`effect`].
pub struct EffectLine<'a>(&'a Effect);

struct OpinionText<'a>(&'a Option<Opinion>);

impl fmt::Display for InputLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Input::Connected { link, channel, .. } => {
                write!(f, "connected l{} {channel:?}", link.0)
            }
            Input::Disconnected {
                link,
                channel,
                reason,
            } => {
                write!(f, "disconnected l{} {channel:?} {reason:?}", link.0)
            }
            Input::Reply {
                link,
                command,
                reply,
            } => {
                write!(f, "reply l{} c{} ", link.0, command.0)?;
                show_reply(f, reply)
            }
            Input::PubSubActivity { link } => write!(f, "activity l{}", link.0),
            Input::Hello(hello) => write!(f, "hello {hello}"),
            Input::Asked {
                request,
                master,
                epoch,
                candidate,
            } => {
                write!(
                    f,
                    "asked r{} {master} epoch {epoch} for {candidate:?}",
                    request.0
                )
            }
            Input::Resolved { host, answers } => write!(f, "resolved {host} {answers:?}"),
            Input::Persisted { id, ok } => write!(f, "persisted p{} {ok}", id.0),
        }
    }
}

fn show_reply(f: &mut fmt::Formatter<'_>, reply: &Reply) -> fmt::Result {
    match reply {
        Reply::Ping(reply) => write!(f, "{reply:?}"),
        Reply::Info(None) => f.write_str("info none"),
        Reply::Info(Some(info)) => {
            let role = match info.role {
                Role::Master => "master",
                Role::Replica => "replica",
            };
            write!(
                f,
                "info {role} run {} offset {}",
                &info.run_id[..6],
                info.offset
            )?;
            if let Some(master) = &info.master {
                let (up, down) = (info.master_link_up, info.master_link_down_ms);
                write!(f, " of {master} up {up} down {down}")?;
            }
            for replica in &info.replicas {
                write!(f, " {replica}")?;
            }
            Ok(())
        }
        Reply::Published(ok) => write!(f, "published {ok}"),
        Reply::MasterDown(opinion) => write!(f, "opinion {}", OpinionText(opinion)),
        Reply::Reconfigured(result) => write!(f, "reconfigured {result:?}"),
        Reply::ScriptKilled => f.write_str("script killed"),
        Reply::WriteProbed(probe) => write!(f, "write {probe:?}"),
    }
}

impl fmt::Display for OpinionText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => f.write_str("error"),
            Some(opinion) => {
                let (down, leader) = (opinion.down, &opinion.leader);
                write!(
                    f,
                    "down {down} voted {leader:?} at {}",
                    opinion.leader_epoch
                )
            }
        }
    }
}

impl fmt::Display for EffectLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Effect::Connect {
                link,
                channel,
                addr,
                ..
            } => {
                write!(f, "connect l{} {channel:?} {addr}", link.0)
            }
            Effect::Resolve { host } => write!(f, "resolve {host}"),
            Effect::Disconnect { link, channel } => write!(f, "disconnect l{} {channel:?}", link.0),
            Effect::Send { link, id, command } => {
                write!(f, "send l{} c{} ", link.0, id.0)?;
                show_command(f, command)
            }
            Effect::Persist { id, snapshot } => {
                write!(f, "persist p{} epoch {}", id.0, snapshot.current_epoch)?;
                for (name, master) in &snapshot.masters {
                    let (config, leader) = (master.config_epoch, master.leader_epoch);
                    write!(f, " {name} {} config {config} leader {leader}", master.addr)?;
                }
                Ok(())
            }
            Effect::Answer { request, opinion } => {
                write!(f, "answer r{} {}", request.0, OpinionText(opinion))
            }
            Effect::Event(event) => write!(f, "{} {}", event.name, event.payload),
            Effect::Topology(t) => {
                write!(
                    f,
                    "topology {} epoch {} {} {:?}",
                    t.name, t.epoch, t.master, t.flags
                )?;
                for refusal in &t.refused {
                    write!(f, " refused {} {}", refusal.addr, refusal.reason)?;
                }
                Ok(())
            }
            Effect::Failover { record, .. } => {
                let (name, epoch) = (&record.name, record.epoch);
                write!(f, "history {name} epoch {epoch} {}", record.outcome)
            }
            Effect::ReconfigScript(script) => {
                write!(
                    f,
                    "script {} {} to {}",
                    script.master, script.from, script.to
                )
            }
        }
    }
}

fn show_command(f: &mut fmt::Formatter<'_>, command: &Command) -> fmt::Result {
    match command {
        Command::Ping => f.write_str("PING"),
        Command::Info => f.write_str("INFO"),
        Command::Publish(hello) => write!(f, "PUBLISH {hello}"),
        Command::IsMasterDown {
            master,
            epoch,
            candidate,
        } => {
            write!(f, "is-master-down {master} epoch {epoch} for {candidate:?}")
        }
        Command::Reconfigure {
            follow: Some(master),
        } => write!(f, "SLAVEOF {master}"),
        Command::Reconfigure { follow: None } => f.write_str("SLAVEOF NO ONE"),
        Command::HandOver { to, timeout } => write!(f, "FAILOVER TO {to} TIMEOUT {timeout:?}"),
        Command::AbortHandOver => f.write_str("FAILOVER ABORT"),
        Command::Follow { master } => write!(f, "plain SLAVEOF {master}"),
        Command::ScriptKill => f.write_str("SCRIPT KILL"),
        Command::WriteProbe => f.write_str("SETRANGE"),
    }
}
