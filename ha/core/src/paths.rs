//! Paths of the coordinator's records, and the names that sentinels know groups by.

/// The parent of all products.
pub const ROOT: &str = "/codis3";

/// Why a product name is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("bad product name = {0}")]
pub struct BadProductName(pub String);

/// Checks `^\w[\w.\-]*$`, the rule for product names.
///
/// # Errors
/// The name is empty or holds another character.
pub fn check_product_name(name: &str) -> Result<(), BadProductName> {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut chars = name.chars();
    let head = chars.next().is_some_and(word);
    if head && chars.all(|c| word(c) || c == '.' || c == '-') {
        Ok(())
    } else {
        Err(BadProductName(name.to_owned()))
    }
}

/// `/codis3/{product}`.
pub fn product(product: &str) -> String {
    format!("{ROOT}/{product}")
}

/// The dashboard's lock and address.
pub fn topom(product: &str) -> String {
    format!("{ROOT}/{product}/topom")
}

/// The directory of slots.
pub fn slots(product: &str) -> String {
    format!("{ROOT}/{product}/slots")
}

/// One slot.
pub fn slot(product: &str, id: u16) -> String {
    format!("{ROOT}/{product}/slots/slot-{id:04}")
}

/// The directory of groups.
pub fn groups(product: &str) -> String {
    format!("{ROOT}/{product}/group")
}

/// One group.
pub fn group(product: &str, id: u32) -> String {
    format!("{ROOT}/{product}/group/group-{id:04}")
}

/// The directory of proxies.
pub fn proxies(product: &str) -> String {
    format!("{ROOT}/{product}/proxy")
}

/// One proxy.
pub fn proxy(product: &str, token: &str) -> String {
    format!("{ROOT}/{product}/proxy/proxy-{token}")
}

/// The list of sentinels.
pub fn sentinel(product: &str) -> String {
    format!("{ROOT}/{product}/sentinel")
}

/// The directory of what Codis HA stores beside the records of Codis.
pub fn ha_groups(product: &str) -> String {
    format!("{ROOT}/{product}/ha")
}

/// The adopted topology of one group.
pub fn ha_group(product: &str, id: u32) -> String {
    format!("{ROOT}/{product}/ha/group-{id:04}")
}

/// How slot actions are carried out.
pub fn ha_slot_action(product: &str) -> String {
    format!("{ROOT}/{product}/ha/slot-action")
}

/// Which sentinels are still to forget the product.
pub fn ha_sentinel_leaving(product: &str) -> String {
    format!("{ROOT}/{product}/ha/sentinel-leaving")
}

/// Which proxies are being removed.
pub fn ha_proxy_leaving(product: &str) -> String {
    format!("{ROOT}/{product}/ha/proxy-leaving")
}

/// Whether a record of [`ha_groups`] is an adopted topology.
pub fn is_ha_group(path: &str) -> bool {
    path.rsplit('/')
        .next()
        .is_some_and(|name| name.starts_with("group-"))
}

/// Who leads.
pub fn ha_leader(product: &str) -> String {
    format!("{ROOT}/{product}/ha/leader")
}

/// An edit that is larger than one commit, while it is carried out.
pub fn ha_edit(product: &str) -> String {
    format!("{ROOT}/{product}/ha/edit")
}

/// The mark of a restore that is under way, or was cut.
pub fn ha_restore(product: &str) -> String {
    format!("{ROOT}/{product}/ha/restore")
}

/// Where clients find a proxy.
pub fn jodis(product: &str, token: &str) -> String {
    format!("/jodis/{product}/proxy-{token}")
}

/// Where clients of Codis 1 and 2 find a proxy.
pub fn jodis_compatible(product: &str, token: &str) -> String {
    format!("/zk/codis/db_{product}/proxy/{token}")
}

/// The name under which sentinels monitor a group: `{product}-{gid}`.
pub fn monitor_name(product: &str, group: u32) -> String {
    format!("{product}-{group}")
}

/// The group that a monitored name stands for, when it belongs to `product`.
pub fn monitored_group(product: &str, name: &str) -> Option<u32> {
    let digits = name.strip_prefix(product)?.strip_prefix('-')?;
    digits
        .bytes()
        .all(|b| b.is_ascii_digit())
        .then(|| digits.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_own_names_map_to_groups() {
        assert_eq!(monitored_group("demo", "demo-7"), Some(7));
        assert_eq!(
            monitored_group("demo", &monitor_name("demo", 9999)),
            Some(9999)
        );
        for other in ["demo", "demo-", "demo-x", "demo-1-2", "demo2-1", "demo-+1"] {
            assert_eq!(monitored_group("demo", other), None, "{other}");
        }
    }

    #[test]
    fn product_names_follow_the_rule() {
        for good in ["codis-demo", "_x", "a.b-c"] {
            assert_eq!(check_product_name(good), Ok(()));
        }
        for bad in ["", "-a", ".a", "a/b", "a b", "é"] {
            assert!(check_product_name(bad).is_err(), "{bad}");
        }
    }
}
