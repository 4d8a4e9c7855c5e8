//! The command line, in the form of redis-sentinel:
//! `codis-sentinel /path/sentinel.conf [--name value...]`.
//!
//! Words after the file are configuration lines of their own, so a parser of fixed options cannot
//! read them.

use std::path::PathBuf;

use crate::conf::lex::quote;

/// What the command line asks for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Invocation {
    /// Print the version.
    Version,
    /// Print the help.
    Help,
    /// Run.
    Run(Arguments),
}

/// How to run.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Arguments {
    /// The config file; `-` is standard input.
    pub file: Option<PathBuf>,
    /// Lines to read after the file.
    pub lines: String,
    /// Where the runtime state lives instead of the config file.
    pub state_dir: Option<PathBuf>,
}

/// The text of `--help`.
pub const HELP: &str = "\
Usage: codis-sentinel /path/to/sentinel.conf [options]
       codis-sentinel - (read the configuration from standard input; needs --state-dir)

Options:
  --state-dir DIR   keep the runtime state in DIR and leave the config file alone
  --sentinel        accepted and ignored: it is always a sentinel
  --NAME VALUE...   a configuration line, applied after the file, e.g. --port 26380
  -v, --version     print the version
  -h, --help        print this help

The config file has the form of Redis Sentinel's. Without --state-dir it is rewritten at run time,
and must be writable, as must its directory.
";

/// Reads the words after the program's name; an error is a sentence for the user.
pub fn parse(words: &[String]) -> Result<Invocation, String> {
    let mut arguments = Arguments::default();
    let mut rest = words.iter().map(String::as_str).peekable();
    match rest.peek() {
        Some(&"-v" | &"--version") => return Ok(Invocation::Version),
        Some(&"-h" | &"--help") => return Ok(Invocation::Help),
        _ => {}
    }
    if let Some(first) = rest.next_if(|w| !w.starts_with("--")) {
        if first != "-" && first.starts_with('-') {
            return Err(format!("unknown option `{first}`; try --help"));
        }
        arguments.file = Some(absolute(first)?);
    }
    while let Some(word) = rest.next() {
        match word.strip_prefix("--") {
            Some("sentinel") => {}
            Some("state-dir") => {
                let dir = rest.next().ok_or("--state-dir needs a directory")?;
                arguments.state_dir = Some(absolute(dir)?);
            }
            Some(name) if !name.is_empty() => {
                arguments.lines.push_str(name);
                while let Some(value) = rest.next_if(|w| !w.starts_with("--")) {
                    arguments.lines.push(' ');
                    arguments.lines.push_str(&spelled(value));
                }
                arguments.lines.push('\n');
            }
            _ => return Err(format!("`{word}`: expected `--name value`; try --help")),
        }
    }
    Ok(Invocation::Run(arguments))
}

/// A value for a line. One word may hold several values (`--bind "a b"`), as in Redis.
fn spelled(value: &str) -> String {
    let parts: Vec<String> = value.split(' ').map(quote).collect();
    if value.is_empty() {
        return quote(value);
    }
    parts.join(" ")
}

fn absolute(path: &str) -> Result<PathBuf, String> {
    if path == "-" {
        return Ok(PathBuf::from(path));
    }
    std::path::absolute(path).map_err(|error| format!("`{path}`: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(words: &[&str]) -> Arguments {
        let words: Vec<String> = words.iter().map(|&w| w.to_owned()).collect();
        match parse(&words).unwrap() {
            Invocation::Run(arguments) => arguments,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn words_become_lines() {
        let arguments = run(&[
            "/etc/s.conf",
            "--sentinel",
            "--port",
            "26380",
            "--sentinel",
            "--bind",
            "127.0.0.1",
            "::1",
            "--state-dir",
            "/var/lib/s",
            "--logfile",
            "",
        ]);
        assert_eq!(arguments.file, Some("/etc/s.conf".into()));
        assert_eq!(arguments.state_dir, Some("/var/lib/s".into()));
        assert_eq!(
            arguments.lines,
            "port 26380\nbind 127.0.0.1 ::1\nlogfile \"\"\n"
        );
        assert!(run(&["relative.conf"]).file.unwrap().is_absolute());
        assert_eq!(run(&["-"]).file, Some("-".into()));
    }

    #[test]
    fn other_words_are_refused() {
        let words = |w: &[&str]| w.iter().map(|&w| w.to_owned()).collect::<Vec<_>>();
        assert!(parse(&words(&["-x"])).is_err());
        assert!(parse(&words(&["a.conf", "stray"])).is_err());
        assert!(parse(&words(&["a.conf", "--state-dir"])).is_err());
        assert_eq!(parse(&words(&["-v"])), Ok(Invocation::Version));
    }
}
