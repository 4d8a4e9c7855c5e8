//! `SENTINEL CONFIG`: settings of the whole sentinel, in the form of Redis 7.2: several at a time,
//! all of them or none.

use codis_core::resp::Value;

use super::super::render::bulk;
use super::{Context, Outcome};
use crate::conf::Globals;
use crate::conf::server::yes_no;
use crate::glob;
use crate::log::Level;

const USAGE: &str = "ERR Only SENTINEL CONFIG GET <param> [<param> <param> ...] / SET <param> \
<value> [<param> <value> ...] are supported.";

/// What a request changes.
#[derive(Clone, PartialEq, Debug)]
struct Draft {
    globals: Globals,
    loglevel: Level,
}

pub(super) fn run(context: &mut Context<'_>, words: &[String]) -> Outcome {
    let present = Draft {
        globals: context.globals.clone(),
        loglevel: context.server.loglevel,
    };
    match words {
        [get, patterns @ ..] if get.eq_ignore_ascii_case("get") => present.read(patterns).into(),
        [set, options @ ..] if set.eq_ignore_ascii_case("set") && options.len() > 1 => {
            match present.with(options) {
                Ok(draft) => apply(context, draft),
                Err(error) => Outcome::error(error),
            }
        }
        _ => Outcome::error(USAGE),
    }
}

fn apply(context: &mut Context<'_>, draft: Draft) -> Outcome {
    let credentials = |it: &Globals| (it.sentinel_user.clone(), it.sentinel_pass.clone());
    let greet_anew = credentials(context.globals) != credentials(&draft.globals);
    *context.globals = draft.globals;
    context.server.loglevel = draft.loglevel;
    context.shared.log.set_threshold(draft.loglevel);
    context.announce();
    if greet_anew {
        context.machine.greet_sentinels_anew(context.now);
    }
    context.machine.flush(context.now);
    Outcome::Durable(Value::ok())
}

impl Draft {
    fn read(&self, patterns: &[String]) -> Value {
        let globals = &self.globals;
        let yes_no = |yes: bool| if yes { "yes" } else { "no" }.to_owned();
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let options = [
            ("resolve-hostnames", yes_no(globals.resolve_hostnames)),
            ("announce-hostnames", yes_no(globals.announce_hostnames)),
            ("announce-ip", text(&globals.announce_ip)),
            ("announce-port", globals.announce_port.to_string()),
            ("sentinel-user", text(&globals.sentinel_user)),
            ("sentinel-pass", text(&globals.sentinel_pass)),
            ("loglevel", self.loglevel.name().to_owned()),
        ];
        let patterns: Vec<String> = patterns.iter().map(|p| p.to_ascii_lowercase()).collect();
        let wanted = |name: &str| {
            let mut patterns = patterns.iter();
            patterns.any(|p| glob::matches(p.as_bytes(), name.as_bytes()))
        };
        let shown = options.into_iter().filter(|(name, _)| wanted(name));
        Value::Map(
            shown
                .map(|(name, value)| (bulk(name), bulk(value)))
                .collect(),
        )
    }

    /// The settings with all of the changes, or what is wrong with the first wrong one.
    fn with(mut self, options: &[String]) -> Result<Self, String> {
        let mut seen: Vec<String> = Vec::new();
        for pair in options.chunks(2) {
            let option = pair.first().map_or("", String::as_str);
            let lower = option.to_ascii_lowercase();
            if !OPTIONS.contains(&lower.as_str()) {
                return Err(format!(
                    "ERR Invalid argument '{option}' to SENTINEL CONFIG SET"
                ));
            }
            if seen.contains(&lower) {
                return Err(format!(
                    "ERR Duplicate argument '{option}' to SENTINEL CONFIG SET"
                ));
            }
            let [_, value] = pair else {
                return Err(format!("ERR Missing argument '{option}' value"));
            };
            if self.set(&lower, value).is_none() {
                return Err(format!(
                    "ERR Invalid value '{value}' to SENTINEL CONFIG SET '{option}'"
                ));
            }
            seen.push(lower);
        }
        Ok(self)
    }

    /// Changes one setting; `None` when the value is none.
    fn set(&mut self, option: &str, value: &str) -> Option<()> {
        let text = || (!value.is_empty()).then(|| value.to_owned());
        let globals = &mut self.globals;
        match option {
            "resolve-hostnames" => globals.resolve_hostnames = yes_no(value).ok()?,
            "announce-hostnames" => globals.announce_hostnames = yes_no(value).ok()?,
            "announce-ip" => globals.announce_ip = text(),
            "announce-port" => globals.announce_port = value.parse().ok()?,
            "sentinel-user" => globals.sentinel_user = text(),
            "sentinel-pass" => globals.sentinel_pass = text(),
            "loglevel" => self.loglevel = Level::from_name(value)?,
            _ => return None,
        }
        Some(())
    }
}

const OPTIONS: [&str; 7] = [
    "resolve-hostnames",
    "announce-hostnames",
    "announce-ip",
    "announce-port",
    "sentinel-user",
    "sentinel-pass",
    "loglevel",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn with(words: &[&str]) -> Result<Draft, String> {
        let words: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
        present().with(&words)
    }

    fn present() -> Draft {
        Draft {
            globals: Globals::default(),
            loglevel: Level::Notice,
        }
    }

    #[test]
    fn errors_are_those_of_redis() {
        for (words, error) in [
            (
                &["foo", "1", "announce-port", "x"][..],
                "ERR Invalid argument 'foo' to SENTINEL CONFIG SET",
            ),
            (
                &["announce-port", "x", "foo", "1"],
                "ERR Invalid value 'x' to SENTINEL CONFIG SET 'announce-port'",
            ),
            (
                &["Announce-Port", "0", "announce-port", "0"],
                "ERR Duplicate argument 'announce-port' to SENTINEL CONFIG SET",
            ),
            (
                &["announce-port", "0", "announce-ip"],
                "ERR Missing argument 'announce-ip' value",
            ),
            (
                &["loglevel", "loud"],
                "ERR Invalid value 'loud' to SENTINEL CONFIG SET 'loglevel'",
            ),
        ] {
            assert_eq!(with(words).unwrap_err(), error);
        }
    }

    #[test]
    fn several_options_are_set_and_each_is_read_once() {
        let draft = with(&["ANNOUNCE-PORT", "7", "loglevel", "Debug", "announce-ip", ""]).unwrap();
        assert_eq!(draft.globals.announce_port, 7);
        let read = draft.read(&["announce-p*".into(), "LOGLEVEL".into(), "*port".into()]);
        let bulk = |text: &'static str| Value::bulk(text);
        let pairs = [("announce-port", "7"), ("loglevel", "debug")];
        let expected = pairs.map(|(name, value)| (bulk(name), bulk(value)));
        assert_eq!(read, Value::Map(expected.to_vec()));
    }
}
