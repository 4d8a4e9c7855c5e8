//! The usage patterns themselves.

use super::{Action, Target};

impl Action {
    const fn new(target: Target, verb: &'static str) -> Self {
        Self {
            target,
            verb,
            form: "",
            needs: &[],
            one_of: &[],
            may: &[],
        }
    }

    const fn form(mut self, form: &'static str) -> Self {
        self.form = form;
        self
    }

    const fn needs(mut self, needs: &'static [&'static str]) -> Self {
        self.needs = needs;
        self
    }

    const fn one_of(mut self, one_of: &'static [&'static str]) -> Self {
        self.one_of = one_of;
        self
    }

    const fn may(mut self, may: &'static [&'static str]) -> Self {
        self.may = may;
        self
    }
}

const fn proxy(verb: &'static str) -> Action {
    Action::new(Target::Proxy, verb)
}

const fn dashboard(verb: &'static str) -> Action {
    Action::new(Target::Dashboard, verb)
}

const fn slot_action(form: &'static str) -> Action {
    dashboard("slot-action").form(form)
}

const fn store(verb: &'static str) -> Action {
    Action::new(Target::Store, verb)
}

/// All usage patterns; those of one verb stand together.
pub static ACTIONS: &[Action] = &[
    proxy("").may(&["part"]),
    proxy("start"),
    proxy("shutdown"),
    proxy("log-level"),
    proxy("reset-stats"),
    proxy("forcegc"),
    proxy("fillslots").may(&["locked"]),
    dashboard("").may(&["part"]),
    dashboard("list-group"),
    dashboard("list-proxy"),
    dashboard("shutdown"),
    dashboard("reload"),
    dashboard("log-level"),
    dashboard("slots-assign")
        .needs(&["beg", "end"])
        .one_of(&["gid", "offline"])
        .may(&["confirm"]),
    dashboard("slots-status"),
    dashboard("create-proxy").needs(&["addr"]),
    dashboard("online-proxy").needs(&["addr"]),
    dashboard("remove-proxy")
        .one_of(&["addr", "token", "pid"])
        .may(&["force"]),
    dashboard("reinit-proxy")
        .one_of(&["addr", "token", "pid", "all"])
        .may(&["force"]),
    dashboard("proxy-status"),
    dashboard("create-group").needs(&["gid"]),
    dashboard("remove-group").needs(&["gid"]),
    dashboard("resync-group").needs(&["gid"]),
    dashboard("resync-group").form("all"),
    dashboard("group-add")
        .needs(&["gid", "addr"])
        .may(&["datacenter", "force"]),
    dashboard("group-del").needs(&["gid", "addr"]),
    dashboard("group-status"),
    dashboard("replica-groups")
        .needs(&["gid", "addr"])
        .one_of(&["enable", "disable"]),
    dashboard("replica-groups")
        .form("all")
        .one_of(&["enable", "disable"]),
    dashboard("promote-server")
        .needs(&["gid", "addr"])
        .may(&["force"]),
    dashboard("sync-action").form("create").needs(&["addr"]),
    dashboard("sync-action").form("remove").needs(&["addr"]),
    slot_action("create").needs(&["sid", "gid"]).may(&["wait"]),
    slot_action("remove").needs(&["sid"]),
    slot_action("cancel").needs(&["sid"]),
    slot_action("create-some")
        .needs(&["gid-from", "gid-to", "num-slots"])
        .may(&["wait"]),
    slot_action("create-range")
        .needs(&["beg", "end", "gid"])
        .may(&["wait"]),
    slot_action("interval"),
    slot_action("disabled"),
    dashboard("rebalance").may(&["confirm", "by", "wait"]),
    dashboard("sentinel-add").needs(&["addr"]),
    dashboard("sentinel-del").needs(&["addr"]).may(&["force"]),
    dashboard("sentinel-resync"),
    store("remove-lock").needs(&["product"]),
    store("config-dump").needs(&["product"]).may(&["legacy"]),
    store("config-restore")
        .needs(&["product"])
        .may(&["confirm", "force"]),
    store("dashboard-list"),
    Action::new(Target::File, "config-convert"),
];
