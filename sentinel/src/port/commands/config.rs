//! `SENTINEL CONFIG`: settings of the whole sentinel.

use codis_core::resp::Value;

use super::super::render::bulk;
use super::{Context, Outcome};
use crate::conf::Globals;
use crate::conf::server::yes_no;
use crate::glob;

pub(super) fn run(context: &mut Context<'_>, words: &[String]) -> Outcome {
    match words {
        [get, pattern] if get.eq_ignore_ascii_case("get") => read(context.globals, pattern).into(),
        [set, option, value] if set.eq_ignore_ascii_case("set") => {
            let changed = write(context.globals, option, value);
            if let Err(error) = changed {
                return Outcome::error(error);
            }
            context.announce();
            context.machine.flush(context.now);
            Outcome::Durable(Value::ok())
        }
        _ => Outcome::error(
            "ERR Only SENTINEL CONFIG GET <option> / SET <option> <value> are supported.",
        ),
    }
}

fn read(globals: &Globals, pattern: &str) -> Value {
    let yes_no = |yes: bool| if yes { "yes" } else { "no" }.to_owned();
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let options = [
        ("resolve-hostnames", yes_no(globals.resolve_hostnames)),
        ("announce-hostnames", yes_no(globals.announce_hostnames)),
        ("announce-ip", text(&globals.announce_ip)),
        ("announce-port", globals.announce_port.to_string()),
        ("sentinel-user", text(&globals.sentinel_user)),
        ("sentinel-pass", text(&globals.sentinel_pass)),
    ];
    let pattern = pattern.to_ascii_lowercase();
    let shown = options
        .into_iter()
        .filter(|(name, _)| glob::matches(pattern.as_bytes(), name.as_bytes()));
    Value::Map(
        shown
            .map(|(name, value)| (bulk(name), bulk(value)))
            .collect(),
    )
}

fn write(globals: &mut Globals, option: &str, value: &str) -> Result<(), String> {
    let bad = || format!("ERR Invalid value '{value}' to SENTINEL CONFIG SET '{option}'");
    let text = || (!value.is_empty()).then(|| value.to_owned());
    match option.to_ascii_lowercase().as_str() {
        "resolve-hostnames" => {
            globals.resolve_hostnames = yes_no(value).map_err(|_| bad())?;
        }
        "announce-hostnames" => {
            globals.announce_hostnames = yes_no(value).map_err(|_| bad())?;
        }
        "announce-ip" => globals.announce_ip = text(),
        "announce-port" => globals.announce_port = value.parse().map_err(|_| bad())?,
        "sentinel-user" => globals.sentinel_user = text(),
        "sentinel-pass" => globals.sentinel_pass = text(),
        _ => {
            return Err(format!(
                "ERR Invalid argument '{option}' to SENTINEL CONFIG SET"
            ));
        }
    }
    Ok(())
}
