//! Orders to Redis servers and sentinels. Each is given within the lease and recorded with its
//! outcome.

use std::time::Duration;

use codis_core::addr::Addr;
use codis_runtime::peer::{Error, Login, Peer};
use redis::{Cmd, FromRedisValue};

use crate::core::Core;
use crate::state::Audit;

/// What follows one of these words in a command is a secret.
const SECRETS: [&str; 2] = ["auth-pass", "masterauth"];

/// Whether an order may leave: another dashboard may lead by now.
///
/// # Errors
/// It may not.
pub fn may_order(core: &Core) -> Result<(), Error> {
    let ordered = core.order();
    ordered.map_or_else(
        |failure| Err(Error::Refused(failure.to_string())),
        |_| Ok(()),
    )
}

/// Makes `server` follow `master`, or nobody.
///
/// # Errors
/// It did not take the order, or not within `limit`.
pub async fn follow(
    core: &Core,
    audit: &Audit,
    server: &str,
    master: Option<&str>,
    limit: Duration,
) -> Result<(), Error> {
    let auth = &core.settings.product_auth;
    let words = match master.map(|master| (master, master.parse::<Addr>())) {
        None => "SLAVEOF NO ONE".to_owned(),
        Some((_, Ok(addr))) => format!("SLAVEOF {} {}", addr.host(), addr.port()),
        Some((text, Err(_))) => format!("SLAVEOF {text}"),
    };
    let work = async {
        let mut peer = Peer::connect(server, auth, limit).await?;
        may_order(core)?;
        peer.follow(master, auth).await
    };
    core.audit.ordered(audit, server, words, work).await
}

/// Gives one command to the peer at `to`.
///
/// # Errors
/// It did not take it, or not within `limit`.
pub async fn send<T: FromRedisValue>(
    core: &Core,
    audit: &Audit,
    (to, login): (&str, &Login),
    limit: Duration,
    command: &Cmd,
) -> Result<T, Error> {
    let work = async {
        let mut peer = Peer::connect_as(to, login, limit).await?;
        may_order(core)?;
        peer.call(command).await
    };
    core.audit.ordered(audit, to, words(command), work).await
}

/// Gives one command over a connection that is open.
///
/// # Errors
/// The peer did not take it.
pub async fn give<T: FromRedisValue>(
    core: &Core,
    audit: &Audit,
    peer: &mut Peer,
    command: &Cmd,
) -> Result<T, Error> {
    let to = peer.addr().to_owned();
    let work = async {
        may_order(core)?;
        peer.call(command).await
    };
    core.audit.ordered(audit, &to, words(command), work).await
}

/// A command as people read it.
fn words(command: &Cmd) -> String {
    let mut words: Vec<String> = Vec::new();
    for argument in command.args_iter() {
        let word = match argument {
            redis::Arg::Simple(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            _ => "?".to_owned(),
        };
        let hides = words
            .last()
            .is_some_and(|last| SECRETS.contains(&last.as_str()));
        words.push(match word.as_str() {
            "" => "\"\"".to_owned(),
            _ if hides => "***".to_owned(),
            _ => word,
        });
    }
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_show_no_secret() {
        let mut command = redis::cmd("SENTINEL");
        command.arg("SET").arg("p-1").arg("auth-pass").arg("hush");
        command.arg("quorum").arg(2);
        assert_eq!(words(&command), "SENTINEL SET p-1 auth-pass *** quorum 2");
        let mut none = redis::cmd("SENTINEL");
        none.arg("SET").arg("p-1").arg("auth-pass").arg("");
        assert_eq!(words(&none), "SENTINEL SET p-1 auth-pass \"\"");
    }
}
