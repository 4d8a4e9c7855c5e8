//! Orders about masters as a whole.

use std::net::IpAddr;

use codis_core::addr::Addr;
use codis_core::resp::Value;
use codis_sentinel_proto::machine::OrderError;

use super::super::render::integer;
use super::{Context, NO_SUCH_HOST, Outcome};
use crate::glob;

/// The reply to an order that must be on disk first.
fn durable(result: Result<(), OrderError>) -> Outcome {
    match result {
        Ok(()) => Outcome::Durable(Value::ok()),
        Err(error) => Outcome::error(error.to_string()),
    }
}

pub(super) fn monitor(context: &mut Context<'_>, words: &[String]) -> Outcome {
    let [name, host, port, quorum] = words else {
        return Outcome::error("ERR syntax error");
    };
    let Ok(quorum) = quorum.parse::<i64>() else {
        return Outcome::error("ERR Invalid quorum");
    };
    let Ok(port) = port.parse::<i64>() else {
        return Outcome::error("ERR Invalid port");
    };
    let Some(quorum) = i32::try_from(quorum).ok().filter(|q| *q > 0) else {
        return Outcome::error("ERR Quorum must be 1 or greater.");
    };
    let numeric = host.parse::<IpAddr>().is_ok();
    if !numeric && !context.globals.resolve_hostnames {
        return Outcome::error(NO_SUCH_HOST);
    }
    let Ok(port) = u16::try_from(port) else {
        return Outcome::error("ERR Invalid port number.");
    };
    if !context.machine.knows_host(host) {
        return Outcome::LookUp { host: host.clone() };
    }
    let addr = Addr::new(host, port);
    let quorum = quorum.unsigned_abs();
    durable(context.machine.monitor(context.now, name, addr, quorum))
}

pub(super) fn remove(context: &mut Context<'_>, name: &str) -> Outcome {
    durable(context.machine.remove(context.now, name))
}

pub(super) fn reset(context: &mut Context<'_>, pattern: &str) -> Outcome {
    let mut names = context.machine.master_names();
    names.retain(|name| glob::matches(pattern.as_bytes(), name.as_bytes()));
    context.machine.reset(context.now, &names);
    integer(names.len()).into()
}

/// `FAILOVER name [COORDINATED] [TO ip port]`: the master hands over by itself, and the replica is
/// chosen by the operator.
pub(super) fn failover(context: &mut Context<'_>, words: &[String]) -> Outcome {
    let Some((name, options)) = words.split_first() else {
        return failover_arity();
    };
    if !context.machine.master_names().contains(name) {
        return Outcome::error(OrderError::NoSuchMaster.to_string());
    }
    let (mut coordinated, mut to) = (false, None);
    let mut rest = options;
    while let [option, following @ ..] = rest {
        rest = following;
        if option.eq_ignore_ascii_case("coordinated") && !coordinated {
            coordinated = true;
        } else if option.eq_ignore_ascii_case("to") && to.is_none() {
            let [host, port, following @ ..] = following else {
                return failover_arity();
            };
            let Ok(port) = port.parse::<u16>() else {
                return Outcome::error("ERR Invalid port");
            };
            to = Some(Addr::new(host, port));
            rest = following;
        } else {
            return Outcome::error("ERR Unknown failover option specified");
        }
    }
    let ordered = if coordinated {
        context.machine.hand_over(context.now, name, to)
    } else {
        context.machine.failover(context.now, name, to)
    };
    match ordered {
        Ok(()) => Value::ok().into(),
        Err(error) => Outcome::error(error.to_string()),
    }
}

fn failover_arity() -> Outcome {
    Outcome::error("ERR wrong number of arguments for 'sentinel|failover' command")
}

pub(super) fn flush(context: &mut Context<'_>) -> Outcome {
    context.machine.flush(context.now);
    Outcome::Durable(Value::ok())
}
