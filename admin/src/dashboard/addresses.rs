//! Several addresses in one option.

use anyhow::ensure;

/// The addresses of a comma separated list, each once, in order.
pub fn parse(list: &str) -> anyhow::Result<Vec<String>> {
    let mut addrs: Vec<String> = Vec::new();
    for addr in list.split(',').map(str::trim) {
        ensure!(
            !addr.is_empty() || !list.contains(','),
            "an address is missing in `{list}`: give host:port, or several with one comma between"
        );
        ensure!(
            addr.contains(':'),
            "`{addr}` is no address of a dashboard: give host:port, such as 127.0.10.25:18080"
        );
        if !addrs.iter().any(|known| known == addr) {
            addrs.push(addr.to_owned());
        }
    }
    Ok(addrs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_taken_apart() {
        assert_eq!(parse("h:1").unwrap(), ["h:1"]);
        assert_eq!(parse("h:1, g:2,h:1").unwrap(), ["h:1", "g:2"]);
        for bad in ["", "h", "h:1,", ",h:1", "h:1,,g:2"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
