//! How many words a command has, and what is said when they are wrong.

use bytes::Bytes;

/// Bytes of a wrong request that are repeated in the error.
const ECHO_BYTES_MAX: usize = 128;

/// Words of each command, the name included; negative is "at least".
const COMMANDS: &[(&str, i32)] = &[
    ("auth", -2),
    ("client", -2),
    ("command", -1),
    ("hello", -1),
    ("info", -1),
    ("ping", -1),
    ("psubscribe", -2),
    ("publish", 3),
    ("punsubscribe", -1),
    ("role", 1),
    ("sentinel", -2),
    ("shutdown", -1),
    ("subscribe", -2),
    ("unsubscribe", -1),
];

/// Words of each subcommand of SENTINEL, `sentinel` included.
const SENTINEL: &[(&str, i32)] = &[
    ("candidates", 3),
    ("ckquorum", 3),
    ("config", -3),
    ("failover", -3),
    ("flushconfig", 2),
    ("get-master-addr-by-name", 3),
    ("help", 2),
    ("info-cache", -3),
    ("is-master-down-by-addr", 6),
    ("master", 3),
    ("masters", 2),
    ("monitor", 6),
    ("myid", 2),
    ("pending-scripts", 2),
    ("remove", 3),
    ("replicas", 3),
    ("reset", 3),
    ("sentinels", 3),
    ("set", -5),
    ("simulate-failure", -3),
    ("slaves", 3),
    ("topology", -2),
];

/// The number of commands.
pub fn command_count() -> usize {
    COMMANDS.len()
}

/// What is wrong with a request, by its name and its number of words.
pub fn check(command: &str, args: &[Bytes]) -> Result<(), String> {
    match find(COMMANDS, command) {
        None => Err(unknown(args)),
        Some(arity) if fits(arity, args.len()) => Ok(()),
        Some(_) => Err(format!(
            "ERR wrong number of arguments for '{command}' command"
        )),
    }
}

/// The same for the subcommand of SENTINEL.
pub fn check_sentinel(subcommand: &str, args: &[Bytes]) -> Result<(), String> {
    match find(SENTINEL, subcommand) {
        None => {
            let word = args
                .get(1)
                .map(|w| shown(w, ECHO_BYTES_MAX))
                .unwrap_or_default();
            Err(format!(
                "ERR unknown subcommand '{word}'. Try SENTINEL HELP."
            ))
        }
        Some(arity) if fits(arity, args.len()) => Ok(()),
        Some(_) => {
            let name = format!("sentinel|{subcommand}");
            Err(format!(
                "ERR wrong number of arguments for '{name}' command"
            ))
        }
    }
}

/// The error for a command that does not exist.
pub fn unknown(args: &[Bytes]) -> String {
    let name = args
        .first()
        .map(|n| shown(n, ECHO_BYTES_MAX))
        .unwrap_or_default();
    let mut echoed = String::new();
    for arg in args.iter().skip(1) {
        if echoed.len() >= ECHO_BYTES_MAX {
            break;
        }
        let arg = shown(arg, ECHO_BYTES_MAX - echoed.len());
        echoed.push_str(&format!("'{arg}' "));
    }
    format!("ERR unknown command '{name}', with args beginning with: {echoed}")
}

fn find(table: &[(&str, i32)], name: &str) -> Option<i32> {
    table
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, arity)| *arity)
}

fn fits(arity: i32, words: usize) -> bool {
    let least = usize::try_from(arity.unsigned_abs()).unwrap_or(usize::MAX);
    if arity < 0 {
        words >= least
    } else {
        words == least
    }
}

fn shown(bytes: &Bytes, max: usize) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(max)]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(line: &str) -> Vec<Bytes> {
        line.split(' ').map(|w| Bytes::from(w.to_owned())).collect()
    }

    #[test]
    fn errors_are_those_of_redis() {
        let check_line = |line: &str| check(line.split(' ').next().unwrap(), &args(line));
        assert_eq!(
            check_line("foo a b").unwrap_err(),
            "ERR unknown command 'foo', with args beginning with: 'a' 'b' "
        );
        assert_eq!(
            check_line("role x").unwrap_err(),
            "ERR wrong number of arguments for 'role' command"
        );
        assert_eq!(
            check_sentinel("foo", &args("sentinel FOO")).unwrap_err(),
            "ERR unknown subcommand 'FOO'. Try SENTINEL HELP."
        );
        assert_eq!(
            check_sentinel("master", &args("sentinel master")).unwrap_err(),
            "ERR wrong number of arguments for 'sentinel|master' command"
        );
        assert!(check_sentinel("topology", &args("sentinel topology")).is_ok());
    }
}
