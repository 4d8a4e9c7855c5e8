//! Finding the command that a request means, or what is wrong with the request.

use bytes::Bytes;

use super::{Spec, get};

/// Bytes of a wrong request that are repeated in the error.
const ECHO_BYTES_MAX: usize = 128;

/// The row that a request means, when its name and its number of words are right.
///
/// # Errors
/// The text of the error reply, in the words of Redis.
pub fn find(args: &[Bytes]) -> Result<&'static Spec, String> {
    let spec = resolve(args)?;
    if spec.fits(args.len()) {
        return Ok(spec);
    }
    let name = &spec.name;
    Err(format!(
        "ERR wrong number of arguments for '{name}' command"
    ))
}

/// The same whatever the number of words.
pub fn resolve(args: &[Bytes]) -> Result<&'static Spec, String> {
    let name = args.first().map(|name| String::from_utf8_lossy(name));
    let name = name.unwrap_or_default();
    // The bar is for rules and documentation, not for requests.
    let known = get(&name).filter(|spec| !spec.is_subcommand());
    let container = known.ok_or_else(|| unknown(args))?;
    let Some(word) = args.get(1) else {
        return Ok(container);
    };
    if !container.is_container() {
        return Ok(container);
    }
    let full = format!("{}|{}", container.name, String::from_utf8_lossy(word));
    get(&full).ok_or_else(|| {
        let (word, help) = (echo(word, ECHO_BYTES_MAX), container.name.to_uppercase());
        format!("ERR unknown subcommand '{word}'. Try {help} HELP.")
    })
}

/// The error for a command that does not exist.
pub fn unknown(args: &[Bytes]) -> String {
    let name = args
        .first()
        .map(|name| echo(name, ECHO_BYTES_MAX))
        .unwrap_or_default();
    let mut echoed = String::new();
    for arg in args.iter().skip(1) {
        if echoed.len() >= ECHO_BYTES_MAX {
            break;
        }
        let arg = echo(arg, ECHO_BYTES_MAX - echoed.len());
        echoed.push_str(&format!("'{arg}' "));
    }
    format!("ERR unknown command '{name}', with args beginning with: {echoed}")
}

/// The beginning of a word of a request, for an error.
fn echo(bytes: &[u8], bytes_max: usize) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(bytes_max)]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(line: &str) -> Result<&'static str, String> {
        let args: Vec<Bytes> = line.split(' ').map(|w| Bytes::from(w.to_owned())).collect();
        find(&args).map(|spec| spec.name.as_str())
    }

    #[test]
    fn requests_lead_to_their_row() {
        assert_eq!(found("PING"), Ok("ping"));
        assert_eq!(found("ping hello"), Ok("ping"));
        assert_eq!(found("COMMAND"), Ok("command"));
        assert_eq!(found("Command Count"), Ok("command|count"));
        assert_eq!(found("sentinel topology"), Ok("sentinel|topology"));
    }

    #[test]
    fn errors_are_those_of_redis() {
        for (line, error) in [
            (
                "foo a b",
                "ERR unknown command 'foo', with args beginning with: 'a' 'b' ",
            ),
            (
                "sentinel|masters",
                "ERR unknown command 'sentinel|masters', with args beginning with: ",
            ),
            ("role x", "ERR wrong number of arguments for 'role' command"),
            (
                "sentinel",
                "ERR wrong number of arguments for 'sentinel' command",
            ),
            (
                "sentinel FOO",
                "ERR unknown subcommand 'FOO'. Try SENTINEL HELP.",
            ),
            (
                "sentinel MASTER",
                "ERR wrong number of arguments for 'sentinel|master' command",
            ),
        ] {
            assert_eq!(found(line).unwrap_err(), error);
        }
        let long = "x".repeat(300);
        let error = found(&format!("{long} {long} {long}")).unwrap_err();
        assert!(error.len() < 400, "{error}");
    }
}
