use super::*;

fn verb(given: &[&str]) -> Result<(&'static str, &'static str), String> {
    resolve(given, false).map(|action| (action.verb, action.form))
}

#[test]
fn patterns_of_the_original_are_found() {
    for (given, expected) in [
        (&["dashboard"][..], ("", "")),
        (&["dashboard", "part"], ("", "")),
        (&["dashboard", "create-group", "gid"], ("create-group", "")),
        (
            &[
                "dashboard",
                "slots-assign",
                "beg",
                "end",
                "offline",
                "confirm",
            ],
            ("slots-assign", ""),
        ),
        (&["proxy", "auth", "start"], ("start", "")),
        (&["filesystem", "dashboard-list"], ("dashboard-list", "")),
        (
            &["etcd", "etcd-auth", "verbose", "dashboard-list"],
            ("dashboard-list", ""),
        ),
        (
            &["zookeeper", "config-dump", "product", "legacy"],
            ("config-dump", ""),
        ),
        (&["config-convert", "verbose"], ("config-convert", "")),
        (
            &["dashboard", "slot-action", "create", "sid", "gid"],
            ("slot-action", "create"),
        ),
        (
            &["dashboard", "slot-action", "interval"],
            ("slot-action", "interval"),
        ),
        (
            &["dashboard", "sync-action", "remove", "addr"],
            ("sync-action", "remove"),
        ),
        (
            &["dashboard", "resync-group", "all"],
            ("resync-group", "all"),
        ),
        (&["dashboard", "resync-group", "gid"], ("resync-group", "")),
        (&["dashboard", "rebalance", "confirm"], ("rebalance", "")),
    ] {
        assert_eq!(verb(given), Ok(expected), "{given:?}");
    }
}

#[test]
fn what_would_be_ignored_is_refused() {
    for given in [
        &["create-group", "gid"][..],
        &["dashboard", "proxy"],
        &["dashboard", "create-group"],
        &["dashboard", "create-group", "gid", "force"],
        &["dashboard", "create-group", "remove-group", "gid"],
        &["dashboard", "slots-assign", "beg", "end", "gid", "offline"],
        &["dashboard", "resync-group"],
        &["dashboard", "resync-group", "gid", "all"],
        &["dashboard", "list-group", "part"],
        &["dashboard", "slot-action"],
        &["dashboard", "slot-action", "create", "sid"],
        &["dashboard", "slot-action", "create", "remove", "sid", "gid"],
        &["dashboard", "slot-action", "remove", "sid", "wait"],
        &["dashboard", "config-convert"],
        &["filesystem", "config-convert"],
        &["filesystem", "config-dump"],
        &["filesystem"],
        &["filesystem", "etcd", "dashboard-list"],
        &["zookeeper", "etcd-auth", "dashboard-list"],
        &["dashboard", "zookeeper-auth"],
    ] {
        assert!(verb(given).is_err(), "{given:?}");
    }
}

#[test]
fn the_environment_names_a_dashboard_for_those_that_name_nothing() {
    let verb = |given: &[&str]| resolve(given, true).map(|action| (action.target, action.verb));
    assert_eq!(verb(&[]), Ok((Target::Dashboard, "")));
    assert_eq!(
        verb(&["group-status"]),
        Ok((Target::Dashboard, "group-status"))
    );
    assert_eq!(verb(&["proxy", "start"]), Ok((Target::Proxy, "start")));
    assert_eq!(
        verb(&["config-convert"]),
        Ok((Target::File, "config-convert"))
    );
    assert_eq!(
        verb(&["etcd", "dashboard-list"]),
        Ok((Target::Store, "dashboard-list"))
    );
}

#[test]
fn a_refusal_names_the_next_step() {
    let text = |given: &[&str]| resolve(given, true).unwrap_err();
    let resync = text(&["resync-group"]);
    assert!(resync.starts_with("option --gid is required"), "{resync}");
    assert!(resync.contains("--all"), "{resync}");
    let list = text(&["dashboard-list"]);
    assert!(list.contains("--filesystem=ROOT"), "{list}");
    let action = text(&["slot-action"]);
    assert!(action.contains("--create-range"), "{action}");
    assert!(text(&["group-status", "legacy"]).contains("option -1"));
}
