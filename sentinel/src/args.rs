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
    /// The config file.
    pub file: Option<PathBuf>,
    /// Whether standard input is read after the file.
    pub stdin: bool,
    /// Lines to read after both.
    pub lines: String,
    /// Where the runtime state lives instead of the config file.
    pub state_dir: Option<PathBuf>,
}

/// The text of `--help`.
pub const HELP: &str = "\
Usage: codis-sentinel /path/to/sentinel.conf [options]
       codis-sentinel [FILE] - (read standard input as well; without FILE it needs --state-dir)

Options:
  --state-dir DIR   keep the runtime state in DIR and leave the config file alone
  --sentinel        accepted and ignored: it is always a sentinel
  --NAME VALUE...   a configuration line, applied after the file, e.g. --port 26380
                    or --sentinel monitor mymaster 127.0.0.1 6379 2
  -v, --version     print the version
  -h, --help        print this help

The config file has the form of Redis Sentinel's. Without --state-dir it is rewritten at run time,
and must be writable, as must its directory.
";

/// Reads the words after the program's name; an error is a sentence for the user.
pub fn parse(words: &[String]) -> Result<Invocation, String> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.first() {
        Some(&"-v" | &"--version") => return Ok(Invocation::Version),
        Some(&"-h" | &"--help") => return Ok(Invocation::Help),
        _ => {}
    }
    let mut arguments = Arguments::default();
    let mut rest = words.as_slice();
    if let Some((first, tail)) = rest.split_first()
        && !first.starts_with('-')
    {
        arguments.file = Some(absolute(first)?);
        rest = tail;
    }
    match rest {
        ["-", tail @ ..] | [tail @ .., "-"] => {
            arguments.stdin = true;
            rest = tail;
        }
        _ => {}
    }
    while let Some((word, tail)) = rest.split_first() {
        let Some(name) = word.strip_prefix("--").filter(|name| !name.is_empty()) else {
            return Err(format!("`{word}`: expected `--name value`; try --help"));
        };
        let (values, tail) = tail.split_at(values_len(name, tail));
        take(&mut arguments, name, values)?;
        rest = tail;
    }
    Ok(Invocation::Run(arguments))
}

/// How many of the words after `--name` are its values: those up to the next `--`. The first is
/// one in any case, as in Redis, unless the option needs none or came with one (`"--port 1"`).
fn values_len(name: &str, tail: &[&str]) -> usize {
    let given = name.contains(' ') || name.eq_ignore_ascii_case("sentinel");
    let sure = usize::from(!given && !tail.is_empty());
    let others = tail.iter().skip(sure);
    sure + others.take_while(|word| !word.starts_with("--")).count()
}

/// Takes one option.
fn take(arguments: &mut Arguments, name: &str, values: &[&str]) -> Result<(), String> {
    match (name, values) {
        ("sentinel", []) => {}
        // `--sentinel FILE`, in the order in which `redis-server` refuses it.
        ("sentinel", [file]) if arguments.file.is_none() => {
            arguments.file = Some(absolute(file)?);
        }
        ("state-dir", [dir]) => arguments.state_dir = Some(absolute(dir)?),
        ("state-dir", _) => return Err("--state-dir needs one directory".into()),
        _ => {
            arguments.lines.push_str(name);
            for value in values {
                arguments.lines.push(' ');
                arguments.lines.push_str(&quote(value));
            }
            arguments.lines.push('\n');
        }
    }
    Ok(())
}

fn absolute(path: &str) -> Result<PathBuf, String> {
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
    }

    #[test]
    fn standard_input_is_the_first_or_the_last_word() {
        assert!(run(&["-"]).stdin);
        let arguments = run(&["/s.conf", "-", "--port", "1"]);
        assert!(arguments.stdin && arguments.file.is_some());
        assert_eq!(arguments.lines, "port 1\n");
        assert!(run(&["/s.conf", "--port", "1", "-"]).stdin);
    }

    #[test]
    fn values_are_kept_whole() {
        let arguments = run(&[
            "/s.conf",
            "--requirepass",
            "--a b",
            "--port 7",
            "--hz",
            "10",
        ]);
        assert_eq!(arguments.lines, "requirepass \"--a b\"\nport 7\nhz 10\n");
        let arguments = run(&[
            "/s.conf",
            "--sentinel",
            "monitor",
            "m",
            "127.0.0.1",
            "1",
            "1",
        ]);
        assert_eq!(arguments.lines, "sentinel monitor m 127.0.0.1 1 1\n");
        assert_eq!(run(&["--sentinel", "/s.conf"]).file, Some("/s.conf".into()));
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
