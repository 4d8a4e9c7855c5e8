//! Questions about masters, replicas and sentinels.

use codis_core::resp::Value;
use codis_sentinel_proto::machine::OrderError;

use super::super::render::{self, bulk};
use super::{Context, Outcome};
use crate::glob;

pub(super) fn masters(context: &Context<'_>) -> Outcome {
    let names = context.machine.master_names();
    let views = names
        .iter()
        .filter_map(|n| context.machine.master(context.now, n));
    Value::array(views.map(|view| render::master(&view))).into()
}

pub(super) fn master(context: &Context<'_>, name: &str) -> Outcome {
    match context.machine.master(context.now, name) {
        Some(view) => render::master(&view).into(),
        None => no_such_master(),
    }
}

/// The replicas that announce themselves.
pub(super) fn replicas(context: &Context<'_>, name: &str) -> Outcome {
    match context.machine.replicas(context.now, name) {
        Some(views) => {
            let shown = views.iter().filter(|view| view.announced);
            Value::array(shown.map(render::replica)).into()
        }
        None => no_such_master(),
    }
}

pub(super) fn sentinels(context: &Context<'_>, name: &str) -> Outcome {
    match context.machine.sentinels(context.now, name) {
        Some(views) => Value::array(views.iter().map(render::sentinel)).into(),
        None => no_such_master(),
    }
}

pub(super) fn address(context: &Context<'_>, name: &str) -> Outcome {
    match context.machine.master(context.now, name) {
        Some(view) => {
            let port = view.current.port().to_string();
            Value::array([bulk(view.current.host()), bulk(port)]).into()
        }
        None => Value::Array(None).into(),
    }
}

pub(super) fn topology(context: &Context<'_>, words: &[String]) -> Outcome {
    let pattern = match words {
        [] => "*",
        [pattern] => pattern,
        _ => {
            return Outcome::error("ERR wrong number of arguments for 'sentinel|topology' command");
        }
    };
    let mut names = context.machine.master_names();
    names.retain(|name| glob::matches(pattern.as_bytes(), name.as_bytes()));
    let records = names
        .iter()
        .filter_map(|name| context.machine.topology(context.now, name));
    // A record is plain data with text keys: it always has a JSON form.
    let texts = records.filter_map(|record| serde_json::to_string(&record).ok());
    Value::array(texts.map(bulk)).into()
}

pub(super) fn no_such_master() -> Outcome {
    Outcome::error(OrderError::NoSuchMaster.to_string())
}
