//! What two sentinels cannot say alike, by named rules.

use codis_core::resp::Value;

use crate::support::{Sentinel, field, show};

/// Rule "time": how long ago something was, or an offset that moves. The value behind the name
/// must be a number in both.
const TIMES: &[&str] = &[
    "link-pending-commands",
    "last-ping-sent",
    "last-ok-ping-reply",
    "last-ping-reply",
    "s-down-time",
    "o-down-time",
    "info-refresh",
    "role-reported-time",
    "slave-repl-offset",
    "last-hello-message",
    "pid",
    "id",
];

/// Rule "client line": the fields of CLIENT LIST that are compared.
const CLIENT_FIELDS: &[&str] = &[
    "name",
    "flags",
    "db",
    "sub",
    "psub",
    "ssub",
    "multi",
    "multi-mem",
    "oll",
    "events",
    "cmd",
    "user",
    "redir",
    "resp",
];

/// The rules, and the addresses and ids that they are about.
pub struct Masks {
    /// Texts and what stands for them.
    replacements: Vec<(String, &'static str)>,
}

impl Masks {
    /// Rule "address": who is which sentinel.
    pub fn new(sentinels: &[&Sentinel]) -> Self {
        // Ours lists what 7.2 lists, and says so.
        let mut replacements = vec![
            ("7.2.4".to_owned(), "<version>"),
            ("7.0.15".to_owned(), "<version>"),
        ];
        for sentinel in sentinels {
            let id = show(&sentinel.call("SENTINEL MYID"));
            replacements.push((id, "<id>"));
            replacements.push((sentinel.host.clone(), "<host>"));
            replacements.push((sentinel.port.to_string(), "<port>"));
        }
        Self { replacements }
    }

    /// A reply as text, with what cannot be equal masked.
    pub fn apply(&self, request: &str, value: &Value) -> String {
        let request = request.to_ascii_lowercase();
        if request.ends_with(" help") && request.matches(' ').count() == 1 {
            return help(value);
        }
        let value = if request.starts_with("sentinel masters") || request.starts_with("sentinel s")
        {
            sorted(value)
        } else {
            value.clone()
        };
        let value = if request == "role" {
            with_sorted_names(value)
        } else {
            value
        };
        // Rule "own id": the number of a connection.
        if request == "client id" {
            return typed(&number(&value));
        }
        if request.starts_with("sentinel info-cache") {
            return self.leaf(&infos(&value));
        }
        self.leaf(&masked(&value))
    }

    fn leaf(&self, value: &Value) -> String {
        let mut text = typed(value);
        for (from, to) in &self.replacements {
            text = text.replace(from, to);
        }
        text
    }
}

/// Rule "help": texts for people differ; each form of a command that stock lists must be listed.
fn help(value: &Value) -> String {
    let lines = value.as_array().unwrap_or_default();
    let forms = lines
        .iter()
        .map(show)
        .filter(|line| !line.starts_with("+ "));
    // What a text is about is its first word.
    let mut forms: Vec<String> = forms
        .map(|line| line.split(' ').next().unwrap_or_default().to_owned())
        .collect();
    forms.sort();
    forms.dedup();
    forms.join(" ")
}

/// Rule "order": instances come in the order of their names, which are random ids.
fn sorted(value: &Value) -> Value {
    let Some(views) = value.as_array().filter(|views| views.iter().all(is_view)) else {
        return value.clone();
    };
    let mut views = views.to_vec();
    views.sort_by_key(|view| field(view, "ip").zip(field(view, "name")));
    // The ids are masked later; what is left of two peers is alike.
    Value::array(views)
}

fn is_view(value: &Value) -> bool {
    field(value, "name").is_some() && field(value, "ip").is_some()
}

/// The same for the names of masters in ROLE.
fn with_sorted_names(mut value: Value) -> Value {
    if let Value::Array(Some(parts)) = &mut value
        && let Some(Value::Array(Some(names))) = parts.last_mut()
    {
        names.sort_by_key(show);
    }
    value
}

/// Rule "cached INFO": its age and its text change.
fn infos(value: &Value) -> Value {
    match value {
        Value::Integer(_) => Value::simple("<age>"),
        Value::Bulk(Some(text)) if text.starts_with(b"# Server\r\n") => Value::simple("<info>"),
        Value::Array(Some(values)) => Value::array(values.iter().map(infos)),
        other => other.clone(),
    }
}

/// A value with its type, and the types of what is in it.
fn typed(value: &Value) -> String {
    let list = |values: &[Value]| values.iter().map(typed).collect::<Vec<_>>().join(" ");
    match value {
        Value::Bulk(Some(bytes)) => format!("${}", bytes.escape_ascii()),
        Value::Array(Some(values)) => format!("*[{}]", list(values)),
        Value::Set(values) => format!("~[{}]", list(values)),
        Value::Push(values) => format!(">[{}]", list(values)),
        Value::Map(pairs) => {
            let pairs = pairs
                .iter()
                .map(|(k, v)| format!("{}={}", typed(k), typed(v)));
            format!("%[{}]", pairs.collect::<Vec<_>>().join(" "))
        }
        other => show(other),
    }
}

fn masked(value: &Value) -> Value {
    match value {
        Value::Array(Some(values)) => Value::Array(Some(elements(values))),
        Value::Push(values) => Value::Push(elements(values)),
        Value::Map(pairs) => {
            let pairs = pairs.iter().map(|(key, value)| {
                let timed = key.as_str().is_some_and(|key| TIMES.contains(&key));
                let value = if timed { number(value) } else { masked(value) };
                (key.clone(), value)
            });
            Value::Map(pairs.collect())
        }
        Value::Verbatim { format, text } => Value::Verbatim {
            format: *format,
            text: client_lines(text).into(),
        },
        Value::Bulk(Some(text)) => Value::bulk(client_lines(text)),
        other => other.clone(),
    }
}

fn elements(values: &[Value]) -> Vec<Value> {
    let mut out: Vec<Value> = Vec::new();
    for value in values {
        let timed = out.last().and_then(Value::as_str);
        let timed = timed.is_some_and(|name| TIMES.contains(&name));
        out.push(if timed { number(value) } else { masked(value) });
    }
    out
}

/// What stands for a number.
fn number(value: &Value) -> Value {
    match value {
        Value::Integer(_) => Value::simple("<integer>"),
        Value::Bulk(Some(text)) if text.iter().all(u8::is_ascii_digit) => Value::simple("<digits>"),
        other => other.clone(),
    }
}

/// Lines of CLIENT LIST with what is the same in both; other texts as they are.
fn client_lines(text: &[u8]) -> Vec<u8> {
    let Some(text) = std::str::from_utf8(text)
        .ok()
        .filter(|t| t.starts_with("id="))
    else {
        return text.to_vec();
    };
    // Connections of sentinels come and go.
    let lines = text
        .lines()
        .filter(|line| !line.contains(" name=sentinel-"));
    let kept = lines.map(|line| {
        let fields = line.split(' ').filter(|field| {
            let name = field.split('=').next().unwrap_or_default();
            CLIENT_FIELDS.contains(&name)
        });
        fields.collect::<Vec<_>>().join(" ") + "\n"
    });
    kept.collect::<String>().into_bytes()
}
