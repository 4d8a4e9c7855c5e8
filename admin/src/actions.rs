//! Every action of the tool with the options that it needs and may have.
//!
//! The original describes its command line as a list of usage patterns. The same patterns are rows
//! here, so an option that an action would ignore is an error and not a surprise.

/// What an action talks to; also the option that names it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Target {
    /// `--proxy=ADDR`.
    Proxy,
    /// `--dashboard=ADDR`.
    Dashboard,
    /// `--filesystem=ROOT`, `--zookeeper=ADDR` or `--etcd=ADDR`.
    Store,
}

/// One usage pattern.
#[derive(Debug)]
pub struct Action {
    /// What it talks to.
    pub target: Target,
    /// The option that chooses it; empty for the overview.
    pub verb: &'static str,
    /// Options that must all be there.
    pub needs: &'static [&'static str],
    /// Options of which exactly one must be there.
    pub one_of: &'static [&'static str],
    /// Options that may be there.
    pub may: &'static [&'static str],
}

const fn row(
    target: Target,
    verb: &'static str,
    needs: &'static [&'static str],
    one_of: &'static [&'static str],
    may: &'static [&'static str],
) -> Action {
    Action {
        target,
        verb,
        needs,
        one_of,
        may,
    }
}

/// All usage patterns.
pub static ACTIONS: &[Action] = &[
    row(Target::Proxy, "", &[], &[], &["part"]),
    row(Target::Proxy, "start", &[], &[], &[]),
    row(Target::Proxy, "shutdown", &[], &[], &[]),
    row(Target::Proxy, "log-level", &[], &[], &[]),
    row(Target::Proxy, "reset-stats", &[], &[], &[]),
    row(Target::Proxy, "forcegc", &[], &[], &[]),
    row(Target::Proxy, "fillslots", &[], &[], &["locked"]),
    row(Target::Dashboard, "", &[], &[], &["part"]),
    row(Target::Dashboard, "list-group", &[], &[], &[]),
    row(Target::Dashboard, "list-proxy", &[], &[], &[]),
    row(Target::Dashboard, "shutdown", &[], &[], &[]),
    row(Target::Dashboard, "reload", &[], &[], &[]),
    row(Target::Dashboard, "log-level", &[], &[], &[]),
    row(
        Target::Dashboard,
        "slots-assign",
        &["beg", "end"],
        &["gid", "offline"],
        &["confirm"],
    ),
    row(Target::Dashboard, "slots-status", &[], &[], &[]),
    row(Target::Dashboard, "create-proxy", &["addr"], &[], &[]),
    row(Target::Dashboard, "online-proxy", &["addr"], &[], &[]),
    row(
        Target::Dashboard,
        "remove-proxy",
        &[],
        &["addr", "token", "pid"],
        &["force"],
    ),
    row(
        Target::Dashboard,
        "reinit-proxy",
        &[],
        &["addr", "token", "pid", "all"],
        &["force"],
    ),
    row(Target::Dashboard, "proxy-status", &[], &[], &[]),
    row(Target::Dashboard, "create-group", &["gid"], &[], &[]),
    row(Target::Dashboard, "remove-group", &["gid"], &[], &[]),
    row(Target::Dashboard, "resync-group", &[], &["gid", "all"], &[]),
    row(
        Target::Dashboard,
        "group-add",
        &["gid", "addr"],
        &[],
        &["datacenter"],
    ),
    row(Target::Dashboard, "group-del", &["gid", "addr"], &[], &[]),
    row(Target::Dashboard, "group-status", &[], &[], &[]),
    row(
        Target::Dashboard,
        "replica-groups",
        &["gid", "addr"],
        &["enable", "disable"],
        &[],
    ),
    row(
        Target::Dashboard,
        "promote-server",
        &["gid", "addr"],
        &[],
        &[],
    ),
    row(
        Target::Dashboard,
        "sync-action",
        &["addr"],
        &["create", "remove"],
        &[],
    ),
    row(Target::Dashboard, "sentinel-add", &["addr"], &[], &[]),
    row(
        Target::Dashboard,
        "sentinel-del",
        &["addr"],
        &[],
        &["force"],
    ),
    row(Target::Dashboard, "sentinel-resync", &[], &[], &[]),
    row(Target::Store, "remove-lock", &["product"], &[], &[]),
    row(Target::Store, "config-dump", &["product"], &[], &[]),
    row(Target::Store, "dashboard-list", &[], &[], &[]),
];

/// Options that go with any action of a target.
pub const fn common(target: Target) -> &'static [&'static str] {
    match target {
        Target::Proxy => &["proxy", "auth", "verbose", "output"],
        Target::Dashboard => &["dashboard", "verbose", "output"],
        Target::Store => &[
            "filesystem",
            "zookeeper",
            "zookeeper-auth",
            "etcd",
            "etcd-auth",
        ],
    }
}

/// The kinds of coordinator, as options that name one.
pub const STORES: [&str; 3] = ["filesystem", "zookeeper", "etcd"];

/// Finds the action that the given options describe.
///
/// # Errors
/// A text that says which option is missing, or does not belong.
pub fn resolve(given: &[&str]) -> Result<&'static Action, String> {
    let has = |option: &str| given.contains(&option);
    let store = STORES.iter().any(|store| has(store));
    let target = match (has("proxy"), has("dashboard"), store) {
        (true, false, false) => Target::Proxy,
        (false, true, false) => Target::Dashboard,
        (false, false, true) => Target::Store,
        (false, false, false) => {
            return Err(
                "name what to talk to: --dashboard=ADDR, --proxy=ADDR, --filesystem=ROOT, \
                 --zookeeper=ADDR or --etcd=ADDR"
                    .to_owned(),
            );
        }
        _ => {
            return Err("--dashboard, --proxy and a coordinator exclude each other".to_owned());
        }
    };
    if STORES.iter().filter(|store| has(store)).count() > 1 {
        return Err("--filesystem, --zookeeper and --etcd exclude each other".to_owned());
    }
    for (auth, store) in [("zookeeper-auth", "zookeeper"), ("etcd-auth", "etcd")] {
        if has(auth) && !has(store) {
            return Err(format!("option --{auth} needs --{store}"));
        }
    }
    let of_target = || ACTIONS.iter().filter(move |action| action.target == target);
    let mut chosen = of_target().filter(|action| !action.verb.is_empty() && has(action.verb));
    let action = match (chosen.next(), chosen.next()) {
        (Some(action), None) => action,
        (Some(one), Some(two)) => {
            return Err(format!(
                "--{} and --{} exclude each other",
                one.verb, two.verb
            ));
        }
        (None, _) => of_target()
            .find(|action| action.verb.is_empty())
            .ok_or_else(|| {
                let verbs: Vec<_> = of_target()
                    .map(|action| format!("--{}", action.verb))
                    .collect();
                format!("name what to do with the store: {}", verbs.join(", "))
            })?,
    };
    check(action, given)?;
    Ok(action)
}

fn check(action: &Action, given: &[&str]) -> Result<(), String> {
    let shown = if action.verb.is_empty() {
        "the overview"
    } else {
        action.verb
    };
    if let Some(missing) = action.needs.iter().find(|option| !given.contains(option)) {
        return Err(format!("option --{missing} is required by --{shown}"));
    }
    let choices = action
        .one_of
        .iter()
        .filter(|option| given.contains(option))
        .count();
    if choices != 1 && !action.one_of.is_empty() {
        let list: Vec<_> = action
            .one_of
            .iter()
            .map(|option| format!("--{option}"))
            .collect();
        let list = list.join(", ");
        return Err(format!(
            "--{shown} takes exactly one of {list}; {choices} given"
        ));
    }
    let belongs = |option: &&str| {
        *option == action.verb
            || [
                action.needs,
                action.one_of,
                action.may,
                common(action.target),
            ]
            .iter()
            .any(|list| list.contains(option))
    };
    match given.iter().find(|option| !belongs(option)) {
        Some(&"part") => Err(format!("--{shown} takes no further word")),
        Some(stray) => Err(format!("option --{stray} does not go with {shown}")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_of_the_original_are_found() {
        let verb = |given: &[&str]| resolve(given).map(|action| action.verb);
        assert_eq!(verb(&["dashboard"]), Ok(""));
        assert_eq!(verb(&["dashboard", "part"]), Ok(""));
        assert_eq!(
            verb(&["dashboard", "create-group", "gid"]),
            Ok("create-group")
        );
        assert_eq!(
            verb(&[
                "dashboard",
                "slots-assign",
                "beg",
                "end",
                "offline",
                "confirm"
            ]),
            Ok("slots-assign")
        );
        assert_eq!(verb(&["proxy", "auth", "start"]), Ok("start"));
        assert_eq!(
            verb(&["filesystem", "dashboard-list"]),
            Ok("dashboard-list")
        );
        assert_eq!(
            verb(&["etcd", "etcd-auth", "dashboard-list"]),
            Ok("dashboard-list")
        );
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
            &["dashboard", "list-group", "part"],
            &["filesystem", "config-dump"],
            &["filesystem"],
            &["filesystem", "etcd", "dashboard-list"],
            &["zookeeper", "etcd-auth", "dashboard-list"],
            &["dashboard", "zookeeper-auth"],
        ] {
            assert!(resolve(given).is_err(), "{given:?}");
        }
    }
}
