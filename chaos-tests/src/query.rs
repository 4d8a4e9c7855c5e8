//! Questions to single Redis servers and sentinels, each on a connection of its own and bounded in
//! time: the answer to "what do you think now", not a session.

use std::collections::BTreeMap;
use std::time::Duration;

use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, IntoConnectionInfo as _, RedisConnectionInfo,
    RedisError, Value,
};

use codis_core::addr::Addr;
use codis_core::topology::Topology;

/// How long a server may take to answer.
const ANSWER_MAX: Duration = Duration::from_secs(1);

/// A client that says nothing to the server on its own.
///
/// # Errors
/// Never for an address of the layout.
pub fn client(addr: &Addr) -> Result<Client, RedisError> {
    let place = ConnectionAddr::Tcp(addr.host().to_owned(), addr.port());
    let quiet = RedisConnectionInfo::default().set_skip_set_lib_name();
    Client::open(place.into_connection_info()?.set_redis_settings(quiet))
}

/// Sends one command and gives the answer.
///
/// # Errors
/// The server cannot be reached, does not answer in time, or answers with an error.
pub async fn ask(addr: &Addr, words: &[&str]) -> Result<Value, RedisError> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(ANSWER_MAX))
        .set_response_timeout(Some(ANSWER_MAX));
    let mut connection = client(addr)?
        .get_multiplexed_async_connection_with_config(&config)
        .await?;
    let mut command = redis::Cmd::new();
    for word in words {
        command.arg(word);
    }
    command.query_async(&mut connection).await
}

/// Whether the server answers PING as one that can take work.
pub async fn pings(addr: &Addr) -> Result<(), RedisError> {
    ask(addr, &["PING"]).await.map(drop)
}

/// The lines of INFO as a map.
///
/// # Errors
/// As [`ask`].
pub async fn info(addr: &Addr, section: &str) -> Result<BTreeMap<String, String>, RedisError> {
    let text: String = redis::from_redis_value(ask(addr, &["INFO", section]).await?)?;
    Ok(parse_info(&text))
}

fn parse_info(text: &str) -> BTreeMap<String, String> {
    text.lines()
        .filter_map(|line| line.trim_end().split_once(':'))
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

/// What a sentinel of ours thinks of every master it watches.
///
/// # Errors
/// As [`ask`]; a stock sentinel answers with an error.
pub async fn topology(sentinel: &Addr) -> Result<Vec<Topology>, RedisError> {
    let answer = ask(sentinel, &["SENTINEL", "TOPOLOGY"]).await?;
    let texts: Vec<String> = redis::from_redis_value(answer)?;
    texts
        .iter()
        .map(|text| {
            serde_json::from_str(text).map_err(|error| {
                let kind = redis::ErrorKind::Parse;
                RedisError::from((kind, "topology record", error.to_string()))
            })
        })
        .collect()
}

/// The fields of `SENTINEL MASTER name`.
///
/// # Errors
/// As [`ask`].
pub async fn sentinel_master(
    sentinel: &Addr,
    name: &str,
) -> Result<BTreeMap<String, String>, RedisError> {
    let answer = ask(sentinel, &["SENTINEL", "MASTER", name]).await?;
    Ok(redis::from_redis_value(answer)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn info_values_may_hold_colons() {
        let info = parse_info("# Server\r\nexecutable:/x:y\r\nrole:master\r\n\r\n");
        assert_eq!(info["executable"], "/x:y");
        assert_eq!(info["role"], "master");
        assert_eq!(info.len(), 2);
    }
}
