//! `SENTINEL CANDIDATES`: who would be promoted now, and why others would not.

use std::time::SystemTime;

use codis_core::resp::Value;
use codis_sentinel_proto::view::CandidateView;

use super::super::render::{Map, bulk};
use super::{Context, Outcome, masters};
use crate::wall;

pub(super) fn candidates(context: &mut Context<'_>, name: &str) -> Outcome {
    match context.machine.candidates(context.now, name) {
        Some(views) => Value::array(views.iter().map(candidate)).into(),
        None => masters::no_such_master(),
    }
}

fn candidate(view: &CandidateView) -> Value {
    let CandidateView {
        addr,
        rank,
        priority,
        offset,
        behind,
        run_id,
        link_up,
        link_down,
        info_age,
        ok_ping,
        refused,
        last_refused,
    } = view;
    let mut map = Map::default();
    map.text("name", addr.to_string());
    map.text("ip", addr.host());
    map.number("port", addr.port());
    map.number("rank", rank.unwrap_or(0));
    map.number("priority", priority.map_or(-1, i64::from));
    map.number("offset", offset);
    map.number("offset-behind", behind);
    map.text("runid", run_id);
    map.text("master-link-status", if *link_up { "ok" } else { "err" });
    map.millis("master-link-down-time", *link_down);
    match info_age {
        Some(age) => map.millis("info-refresh", *age),
        None => map.number("info-refresh", -1),
    }
    map.millis("last-ok-ping-reply", *ok_ping);
    map.value("refused", Value::array(refused.iter().map(bulk)));
    if let Some(past) = last_refused {
        map.text("last-refused", &past.reason);
        map.number("last-refused-epoch", past.epoch);
        let at = wall::millis_before(SystemTime::now(), past.age);
        map.number("last-refused-time", at);
    }
    map.into()
}
