//! The databases of a server.

use std::collections::BTreeMap;

use codis_runtime::peer::{self, Peer};

/// The databases that have keys, with how many.
///
/// # Errors
/// See [`peer::Error`].
pub async fn read(peer: &mut Peer) -> Result<BTreeMap<u32, u64>, peer::Error> {
    let text: String = peer.call(redis::cmd("INFO").arg("keyspace")).await?;
    Ok(parse(&text))
}

/// `db0:keys=1,expires=0,avg_ttl=0` a line.
fn parse(text: &str) -> BTreeMap<u32, u64> {
    let line = |line: &str| {
        let (name, figures) = line.trim_end().strip_prefix("db")?.split_once(':')?;
        let keys = figures.split(',').find_map(|f| f.strip_prefix("keys="))?;
        Some((name.parse().ok()?, keys.parse().ok()?))
    };
    text.lines().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn databases_are_numbers_with_numbers_of_keys() {
        let text = "# Keyspace\r\ndb0:keys=12,expires=0,avg_ttl=0\r\ndb11:keys=3,expires=1\r\n";
        assert_eq!(parse(text), BTreeMap::from([(0, 12), (11, 3)]));
        assert!(parse("# Keyspace\r\ndbx:keys=1\r\ndb1:expires=1\r\n").is_empty());
    }
}
