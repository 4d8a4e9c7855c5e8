//! The durable state as the lines of a file.
//!
//! [`lines`] gives them in the order in which Redis writes them; [`super::merge`] puts them into
//! the text of the present file, so that the operator's comments and order survive. A Redis
//! Sentinel must still be able to read the file, so what it does not know is written as a comment
//! that only this crate reads ([`hidden_words`]).

use codis_core::addr::Addr;
use codis_sentinel_proto::persist::{PersistedMaster, Snapshot};
use codis_sentinel_proto::settings::MasterSettings;

use super::lex::{quote, quote_always, quote_inside, split_text};
use super::{Config, Globals, Server, options, users};
use crate::acl::Users;

/// What a comment starts with that carries an extension.
const HIDDEN: &str = "# codis-ha ";

/// The directives that only this crate knows. Most have a name and a value.
const EXTENSIONS: &[&str] = &[
    "epoch-floor",
    "forget-after",
    "forgotten-sentinel",
    "master-lost-data-failover",
    "master-write-check",
    "metrics-bind",
    "metrics-port",
    "refused-after-milliseconds",
    "rejoining",
    "script-stdin-json",
];

/// Which form the file has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// The operator's file, which Redis Sentinel must be able to read.
    Operator,
    /// A file of our own.
    State,
}

/// One line that the file must hold.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Line {
    /// Those after `sentinel`, or all of a server directive.
    words: Vec<String>,
    kind: Kind,
    /// It says what is the default anyway: kept when present, not added.
    only_if_present: bool,
    /// Values are in quotes even when they need none, as Redis writes some.
    quoted: bool,
}

/// Whose directive a line is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Sentinel,
    /// Known to this crate alone.
    Extension,
    Server,
}

impl Line {
    pub(super) fn new<const N: usize>(words: [&str; N]) -> Self {
        Self {
            words: words.iter().map(|&w| w.to_owned()).collect(),
            kind: Kind::Sentinel,
            only_if_present: false,
            quoted: false,
        }
    }

    /// A line of a server directive.
    pub(super) fn server(key: &str, values: Vec<String>) -> Self {
        let mut line = Self::new([key]);
        line.words.extend(values);
        line.kind = Kind::Server;
        line
    }

    pub(super) fn optional(mut self, is_default: bool) -> Self {
        self.only_if_present = is_default;
        self
    }

    /// A line that only this crate knows: in the operator's file it is a comment.
    fn extension(mut self) -> Self {
        self.kind = Kind::Extension;
        self
    }

    pub(super) fn quoted(mut self) -> Self {
        self.quoted = true;
        self
    }

    /// The same with a word before all others, for a file of our own.
    pub(super) fn prefixed(&self, word: &str) -> Self {
        let mut line = self.clone();
        line.words.insert(0, word.to_owned());
        line.kind = Kind::Extension;
        line
    }

    /// The same with another keyword.
    pub(super) fn renamed(&self, keyword: &str) -> Self {
        let mut line = self.clone();
        if let Some(first) = line.words.first_mut() {
            first.replace_range(.., keyword);
        }
        line
    }

    pub(super) fn words(&self) -> &[String] {
        &self.words
    }

    pub(super) fn is_server(&self) -> bool {
        self.kind == Kind::Server
    }

    pub(super) fn is_only_if_present(&self) -> bool {
        self.only_if_present
    }

    /// The line as it stands in a file.
    pub(super) fn text(&self, form: Form) -> String {
        let prefix = match self.kind {
            Kind::Server => None,
            Kind::Extension if form == Form::Operator => Some(HIDDEN.trim_end().to_owned()),
            Kind::Extension | Kind::Sentinel => Some("sentinel".to_owned()),
        };
        let word = |(index, word): (usize, &String)| match (self.quoted, index) {
            (true, 1..) => quote_always(word),
            (false, 1..) => quote_inside(word),
            (_, 0) => quote(word),
        };
        let words = self.words.iter().enumerate().map(word);
        let all: Vec<String> = prefix.into_iter().chain(words).collect();
        all.join(" ")
    }
}

/// The words of an extension hidden in a comment, as they would follow `sentinel`.
pub fn hidden_words(line: &str) -> Option<Vec<String>> {
    let words = split_text(line.strip_prefix(HIDDEN)?)?;
    let known = EXTENSIONS.contains(&words.first()?.as_str());
    (known && matches!(words.len(), 2 | 3)).then_some(words)
}

/// A directive and how to read its value from a struct.
type Named<S, T> = (&'static str, fn(&S) -> T);

const fn yes_no(yes: bool) -> &'static str {
    if yes { "yes" } else { "no" }
}

/// What a file is written from besides the state of the machine.
#[derive(Clone, Debug)]
pub struct Written {
    /// Whose file it is.
    pub form: Form,
    /// The server directives, for the operator's file.
    pub server: Server,
    /// What the operator's file says, for a file of our own.
    pub said: Vec<Line>,
    /// The users that the operator's file makes, for a file of our own.
    pub told_users: Option<Users>,
}

impl Written {
    /// All lines of the file.
    pub fn lines(&self, snapshot: &Snapshot, globals: &Globals, who: &Users) -> Vec<Line> {
        let mut out = match self.form {
            Form::Operator => options::lines(&self.server),
            Form::State => self.said.clone(),
        };
        // Those of a file of their own go there by ACL SAVE.
        if self.server.acl.file.is_none() && self.told_users.as_ref() != Some(who) {
            out.extend(users::lines(who));
        }
        out.extend(lines(snapshot, globals));
        out
    }
}

/// All `sentinel` lines of a state, in the order in which Redis writes them.
pub fn lines(snapshot: &Snapshot, globals: &Globals) -> Vec<Line> {
    let mut out = vec![Line::new(["myid", snapshot.myid.as_str()])];
    let (switches, texts) = (switch_lines(globals), text_lines(globals));
    out.extend(switches);
    for (name, master) in &snapshot.masters {
        master_lines(&mut out, name, master);
    }
    let epoch = snapshot.current_epoch.to_string();
    out.push(Line::new(["current-epoch", &epoch]));
    out.extend(texts);
    if snapshot.rejoining {
        out.push(Line::new(["rejoining", "yes"]).extension());
    }
    for (name, floor) in &snapshot.epoch_floors {
        // The config epoch of a monitored master says as much.
        let master = snapshot.masters.get(name);
        if master.is_some_and(|master| master.config_epoch == *floor) {
            continue;
        }
        out.push(Line::new(["epoch-floor", name, &floor.to_string()]).extension());
    }
    out
}

fn switch_lines(globals: &Globals) -> Vec<Line> {
    let default = Globals::default();
    let switches: [Named<Globals, bool>; 3] = [
        ("deny-scripts-reconfig", |g| g.deny_scripts_reconfig),
        ("resolve-hostnames", |g| g.resolve_hostnames),
        ("announce-hostnames", |g| g.announce_hostnames),
    ];
    let line = |(name, read): Named<Globals, bool>| {
        let line = Line::new([name, yes_no(read(globals))]);
        line.optional(read(globals) == read(&default))
    };
    switches.into_iter().map(line).collect()
}

fn text_lines(globals: &Globals) -> Vec<Line> {
    let port = globals.announce_port.to_string();
    let texts = [
        ("announce-ip", globals.announce_ip.as_ref()),
        ("announce-port", Some(&port).filter(|port| *port != "0")),
        ("sentinel-user", globals.sentinel_user.as_ref()),
        ("sentinel-pass", globals.sentinel_pass.as_ref()),
    ];
    let line = |(name, value): (&str, Option<&String>)| {
        let line = Line::new([name, value?]);
        let is_ip = name == "announce-ip";
        Some(if is_ip { line.quoted() } else { line })
    };
    let metrics_port = globals.metrics_port.to_string();
    let extensions = [
        ("metrics-bind", globals.metrics_bind.as_ref()),
        (
            "metrics-port",
            Some(&metrics_port).filter(|port| *port != "0"),
        ),
    ];
    let extension =
        |(name, value): (&str, Option<&String>)| Some(Line::new([name, value?]).extension());
    let extensions = extensions.into_iter().filter_map(extension);
    texts
        .into_iter()
        .filter_map(line)
        .chain(extensions)
        .collect()
}

/// The lines of what an operator sets: everything that is not the default.
pub(super) fn setting_lines_of(config: &Config) -> Vec<Line> {
    let mut out = Vec::new();
    if let Some(myid) = &config.myid {
        out.push(Line::new(["myid", myid.as_str()]));
    }
    out.extend(switch_lines(&config.globals));
    out.extend(text_lines(&config.globals));
    for (name, master) in &config.masters {
        out.push(monitor_line(name, master));
        setting_lines(&mut out, name, &master.settings);
        extension_lines(&mut out, name, &master.settings);
        rename_lines(&mut out, name, &master.settings);
    }
    out.retain(|line| !line.only_if_present);
    out
}

fn master_lines(out: &mut Vec<Line>, name: &str, master: &PersistedMaster) {
    let PersistedMaster {
        settings,
        config_epoch,
        leader_epoch,
        replicas,
        sentinels,
        forgotten,
        ..
    } = master;
    out.push(monitor_line(name, master));
    setting_lines(out, name, settings);
    extension_lines(out, name, settings);
    out.push(Line::new(["config-epoch", name, &config_epoch.to_string()]));
    out.push(Line::new(["leader-epoch", name, &leader_epoch.to_string()]));
    let port = |addr: &Addr| addr.port().to_string();
    for addr in replicas {
        out.push(Line::new(["known-replica", name, addr.host(), &port(addr)]));
    }
    for (id, addr) in sentinels {
        let (host, port) = (addr.host(), port(addr));
        out.push(Line::new([
            "known-sentinel",
            name,
            host,
            &port,
            id.as_str(),
        ]));
    }
    for id in forgotten {
        out.push(Line::new(["forgotten-sentinel", name, id.as_str()]).extension());
    }
    rename_lines(out, name, settings);
}

fn monitor_line(name: &str, master: &PersistedMaster) -> Line {
    let (addr, quorum) = (&master.addr, master.quorum.to_string());
    let port = addr.port().to_string();
    Line::new(["monitor", name, addr.host(), &port, &quorum])
}

fn rename_lines(out: &mut Vec<Line>, name: &str, settings: &MasterSettings) {
    for (old, new) in &settings.renamed_commands {
        out.push(Line::new(["rename-command", name, old, new]));
    }
}

/// The settings that are not the default.
fn setting_lines(out: &mut Vec<Line>, name: &str, settings: &MasterSettings) {
    let default = MasterSettings::default();
    let mut number = |key: &str, read: fn(&MasterSettings) -> u128| {
        if read(settings) != read(&default) {
            out.push(Line::new([key, name, &read(settings).to_string()]));
        }
    };
    number("down-after-milliseconds", |s| s.down_after.as_millis());
    number("failover-timeout", |s| s.failover_timeout.as_millis());
    number("parallel-syncs", |s| u128::from(s.parallel_syncs));
    let texts = [
        ("notification-script", &settings.notification_script),
        ("client-reconfig-script", &settings.client_reconfig_script),
        ("auth-pass", &settings.auth_pass),
        ("auth-user", &settings.auth_user),
    ];
    for (key, value) in texts {
        if let Some(value) = value {
            out.push(Line::new([key, name, value]));
        }
    }
    if settings.reboot_down_after != default.reboot_down_after {
        let period = settings.reboot_down_after.as_millis().to_string();
        out.push(Line::new([
            "master-reboot-down-after-period",
            name,
            &period,
        ]));
    }
}

fn extension_lines(out: &mut Vec<Line>, name: &str, settings: &MasterSettings) {
    let default = MasterSettings::default();
    let texts: [Named<MasterSettings, String>; 5] = [
        ("forget-after", |s| s.forget_after.as_millis().to_string()),
        ("refused-after-milliseconds", |s| {
            s.refused_after.as_millis().to_string()
        }),
        ("master-lost-data-failover", |s| {
            yes_no(s.lost_data_failover).to_owned()
        }),
        ("master-write-check", |s| s.write_check.as_str().to_owned()),
        ("script-stdin-json", |s| {
            yes_no(s.script_stdin_json).to_owned()
        }),
    ];
    for (key, read) in texts {
        let line = Line::new([key, name, &read(settings)]).extension();
        out.push(line.optional(read(settings) == read(&default)));
    }
}

#[cfg(test)]
mod tests;
