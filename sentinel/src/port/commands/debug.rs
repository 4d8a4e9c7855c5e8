//! `SENTINEL DEBUG`: the time constants. Changes count at once and until the next start.

use std::time::Duration;

use codis_core::resp::Value;
use codis_sentinel_proto::timing::Timing;

use super::super::render::Map;
use super::{Context, Outcome};
use crate::conf::server::number;
use crate::scripts::Limits;

/// Where the value of a name is kept.
type Place = fn(&mut Draft) -> &mut Duration;

/// All names, in the order in which Redis tells them.
const PLACES: [(&str, Place); 13] = [
    ("INFO-PERIOD", |it| &mut it.timing.info_period),
    ("PING-PERIOD", |it| &mut it.timing.ping_period),
    ("ASK-PERIOD", |it| &mut it.timing.ask_period),
    ("PUBLISH-PERIOD", |it| &mut it.timing.publish_period),
    ("DEFAULT-DOWN-AFTER", |it| &mut it.timing.default_down_after),
    ("DEFAULT-FAILOVER-TIMEOUT", |it| {
        &mut it.timing.default_failover_timeout
    }),
    ("TILT-TRIGGER", |it| &mut it.timing.tilt_trigger),
    ("TILT-PERIOD", |it| &mut it.timing.tilt_period),
    ("SLAVE-RECONF-TIMEOUT", |it| {
        &mut it.timing.replica_reconf_timeout
    }),
    ("MIN-LINK-RECONNECT-PERIOD", |it| {
        &mut it.timing.min_link_reconnect_period
    }),
    ("ELECTION-TIMEOUT", |it| &mut it.timing.election_timeout),
    ("SCRIPT-MAX-RUNTIME", |it| &mut it.scripts.runtime_max),
    ("SCRIPT-RETRY-DELAY", |it| &mut it.scripts.retry_delay),
];

/// All values.
struct Draft {
    timing: Timing,
    scripts: Limits,
}

pub(super) fn run(context: &mut Context<'_>, words: &[String]) -> Outcome {
    let mut draft = Draft {
        timing: context.machine.timing().clone(),
        scripts: context.scripts.limits,
    };
    if words.is_empty() {
        let mut map = Map::default();
        for (name, place) in PLACES {
            map.text(name, place(&mut draft).as_millis().to_string());
        }
        return Value::from(map).into();
    }
    let result = draft.apply(words);
    // What stands before a wrong word counts.
    context.scripts.limits = draft.scripts;
    if draft.timing != *context.machine.timing() {
        context.machine.set_timing(context.now, draft.timing);
    }
    match result {
        Ok(()) => Value::ok().into(),
        Err(error) => Outcome::error(error),
    }
}

impl Draft {
    fn apply(&mut self, words: &[String]) -> Result<(), String> {
        for pair in words.chunks(2) {
            let option = &pair[0];
            let known = |(name, _): &&(&str, Place)| name.eq_ignore_ascii_case(option);
            let (Some((_, place)), Some(value)) = (PLACES.iter().find(known), pair.get(1)) else {
                return Err(format!(
                    "ERR Unknown option or number of arguments for SENTINEL DEBUG '{option}'"
                ));
            };
            let Ok(millis) = number(value, 1, i64::MAX.unsigned_abs()) else {
                return Err(format!(
                    "ERR Invalid argument '{value}' for SENTINEL DEBUG '{option}'"
                ));
            };
            *place(self) = Duration::from_millis(millis);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apply(line: &str) -> (Draft, Result<(), String>) {
        let mut draft = Draft {
            timing: Timing::default(),
            scripts: Limits::default(),
        };
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let result = draft.apply(&words);
        (draft, result)
    }

    #[test]
    fn every_name_has_a_place_of_its_own() {
        for (n, (name, _)) in PLACES.iter().enumerate() {
            let (mut draft, result) = apply(&format!("{} 77", name.to_ascii_lowercase()));
            assert_eq!(result, Ok(()));
            let changed = PLACES.iter().enumerate();
            let changed = changed.filter(|(_, (_, place))| place(&mut draft).as_millis() == 77);
            assert_eq!(changed.map(|(at, _)| at).collect::<Vec<_>>(), [n]);
        }
    }

    #[test]
    fn errors_are_those_of_redis_and_earlier_pairs_count() {
        let unknown = |word: &str| {
            format!("ERR Unknown option or number of arguments for SENTINEL DEBUG '{word}'")
        };
        let invalid = |value: &str, word: &str| {
            format!("ERR Invalid argument '{value}' for SENTINEL DEBUG '{word}'")
        };
        for (line, error) in [
            ("foo", unknown("foo")),
            ("Foo 1", unknown("Foo")),
            ("ping-period", unknown("ping-period")),
            ("ping-period 0", invalid("0", "ping-period")),
            ("PING-period -1", invalid("-1", "PING-period")),
            (
                "ping-period 9223372036854775808",
                invalid("9223372036854775808", "ping-period"),
            ),
        ] {
            assert_eq!(apply(line).1, Err(error));
        }
        let (draft, result) = apply("ping-period 300 nope 2");
        assert_eq!(result, Err(unknown("nope")));
        assert_eq!(draft.timing.ping_period, Duration::from_millis(300));
    }
}
