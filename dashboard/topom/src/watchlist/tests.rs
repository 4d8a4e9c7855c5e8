//! A sentinel that is a table of monitors, told until nothing differs.

use super::*;

fn wanted(group: u32, epoch: u64) -> Wanted {
    Wanted {
        name: format!("demo-{group}"),
        ip: "10.0.0.1".to_owned(),
        port: 6379,
        epoch: Epoch(epoch),
    }
}

fn options() -> Options {
    Options {
        quorum: 2,
        parallel_syncs: 1,
        down_after: Duration::from_secs(30),
        failover_timeout: Duration::from_secs(300),
        ..Options::default()
    }
}

/// A sentinel; a stock one knows no floor, a guarded one takes no scripts.
#[derive(Default)]
struct Double {
    monitors: BTreeMap<String, Fields>,
    passwords: BTreeMap<String, String>,
    stock: bool,
    guarded: bool,
    removals: usize,
}

impl Double {
    fn take(&mut self, order: &Order) -> bool {
        match order.clone() {
            Order::Monitor {
                name,
                ip,
                port,
                quorum,
            } => {
                let fields = [
                    ("name", name.clone()),
                    ("ip", ip),
                    ("port", port.to_string()),
                    ("quorum", quorum.to_string()),
                    ("config-epoch", "0".to_owned()),
                ];
                let fields = fields.map(|(field, value)| (field.to_owned(), value));
                assert!(self.monitors.insert(name, fields.into()).is_none());
            }
            Order::Remove { name } => {
                self.removals += 1;
                self.passwords.remove(&name);
                assert!(self.monitors.remove(&name).is_some());
            }
            Order::Set { name, options } => {
                let fields = self.monitors.get_mut(&name).unwrap();
                fields.extend(options.into_iter().map(|(o, value)| (o.to_owned(), value)));
            }
            Order::Password { name, password } => {
                assert!(self.monitors.contains_key(&name));
                self.passwords.insert(name, password);
            }
            Order::Script { name, option, path } => {
                if self.guarded {
                    return false;
                }
                let fields = self.monitors.get_mut(&name).unwrap();
                if path.is_empty() {
                    fields.remove(option);
                } else {
                    fields.insert(option.to_owned(), path);
                }
            }
            Order::Floor { .. } => return !self.stock,
        }
        true
    }

    fn set(&mut self, name: &str, field: &str, value: &str) {
        let fields = self.monitors.get_mut(name).unwrap();
        fields.insert(field.to_owned(), value.to_owned());
    }
}

/// Tells the sentinel what differs, and checks that nothing differs then.
fn tell(list: &mut Watchlist, double: &mut Double, wanted: &[Wanted], o: &Options) -> Vec<Order> {
    let plan = list.compare(Time::ZERO, wanted, o, &double.monitors, false);
    for order in &plan.orders {
        let taken = double.take(order);
        list.handle_told(order, taken);
    }
    list.handle_plan(Time::ZERO, &plan);
    let again = list.compare(Time::ZERO, wanted, o, &double.monitors, false);
    assert_eq!(again.orders, [], "it has been told");
    plan.orders
}

#[test]
fn a_sentinel_that_knows_nothing_is_told_all_and_then_nothing() {
    for (stock, guarded) in [(false, false), (true, true)] {
        let mut double = Double {
            stock,
            guarded,
            ..Double::default()
        };
        let mut list = Watchlist::default();
        let o = Options {
            auth_pass: "secret".to_owned(),
            notification_script: "/bin/n".to_owned(),
            ..options()
        };
        let both = [wanted(1, 0), wanted(2, 7)];
        tell(&mut list, &mut double, &both, &o);
        assert_eq!(double.passwords["demo-2"], "secret");
        // A new process forgot nothing that it shows, but may have forgotten the rest.
        list.handle_connected("r2");
        let orders = tell(&mut list, &mut double, &both, &o);
        let only = |order: &Order| !matches!(order, Order::Monitor { .. } | Order::Set { .. });
        assert!(!orders.is_empty() && orders.iter().all(only), "{orders:?}");
        list.handle_connected("r2");
        assert_eq!(
            tell(&mut list, &mut double, &both, &o),
            [],
            "the same process"
        );
        // A monitor that somebody removed by hand comes back with all that belongs to it.
        double.monitors.remove("demo-1");
        double.passwords.remove("demo-1");
        tell(&mut list, &mut double, &both, &o);
        assert_eq!(double.passwords["demo-1"], "secret");
        assert_eq!(double.removals, 0);
    }
}

#[test]
fn what_was_changed_or_cleared_is_put_right_in_place() {
    let (mut list, mut double) = (Watchlist::default(), Double::default());
    let mut o = Options {
        auth_pass: "secret".to_owned(),
        client_reconfig_script: "/bin/r".to_owned(),
        ..options()
    };
    tell(&mut list, &mut double, &[wanted(1, 0)], &o);
    double.set("demo-1", "down-after-milliseconds", "1");
    double.set("demo-1", "quorum", "9");
    let orders = tell(&mut list, &mut double, &[wanted(1, 0)], &o);
    assert_eq!(
        format!("{orders:?}"),
        "[set demo-1 quorum 2 down-after-milliseconds 30000]"
    );
    o.auth_pass.clear();
    o.client_reconfig_script.clear();
    list.handle_connected("r2");
    tell(&mut list, &mut double, &[wanted(1, 0)], &o);
    assert_eq!(double.passwords["demo-1"], "");
    assert!(!double.monitors["demo-1"].contains_key("client-reconfig-script"));
    assert_eq!(double.removals, 0);
}

#[test]
fn a_group_that_is_gone_is_forgotten() {
    let (mut list, mut double) = (Watchlist::default(), Double::default());
    tell(
        &mut list,
        &mut double,
        &[wanted(1, 0), wanted(2, 0)],
        &options(),
    );
    tell(&mut list, &mut double, &[wanted(2, 0)], &options());
    assert_eq!(double.monitors.keys().collect::<Vec<_>>(), ["demo-2"]);
}

#[test]
fn a_sentinel_that_names_another_master_is_given_time() {
    let (mut list, mut double) = (Watchlist::default(), Double::default());
    tell(&mut list, &mut double, &[wanted(1, 5)], &options());
    double.set("demo-1", "ip", "10.0.0.2");
    // Its epoch is newer, or it is failing over: the records will follow, at any time.
    let late = Time::ZERO + 2 * MOVED_MAX;
    for (field, value) in [
        ("config-epoch", "6"),
        ("flags", "master,failover_in_progress"),
    ] {
        let mut seen = double.monitors.clone();
        let fields = seen.get_mut("demo-1").unwrap();
        fields.insert(field.to_owned(), value.to_owned());
        let plan = list.compare(late, &[wanted(1, 5)], &options(), &seen, true);
        assert_eq!(plan, Plan::default());
    }
    // It is older: its peers have a while to tell it, unless an operator asks.
    let compare = |list: &Watchlist, now, at_once| {
        list.compare(now, &[wanted(1, 5)], &options(), &double.monitors, at_once)
    };
    let plan = compare(&list, Time::ZERO, false);
    assert_eq!((plan.orders.len(), plan.moved.len()), (0, 1));
    list.handle_plan(Time::ZERO, &plan);
    let plan = compare(&list, Time::ZERO + MOVED_MAX / 2, false);
    assert_eq!(plan.orders, []);
    for plan in [
        compare(&list, Time::ZERO + MOVED_MAX, false),
        compare(&list, Time::ZERO, true),
    ] {
        assert!(matches!(plan.orders[0], Order::Remove { .. }), "{plan:?}");
        assert!(matches!(plan.orders[1], Order::Monitor { .. }), "{plan:?}");
    }
}

#[test]
fn secrets_are_not_printed() {
    let order = Order::Password {
        name: "demo-1".to_owned(),
        password: "secret".to_owned(),
    };
    let o = Options {
        auth_pass: "secret".to_owned(),
        ..options()
    };
    assert!(!format!("{order:?} {o:?}").contains("secret"));
}

#[test]
fn monitors_of_other_products_are_not_ours() {
    let fields = |name: &str| Fields::from([("name".to_owned(), name.to_owned())]);
    let shown = ["demo-1", "other-1", "demo-x"].map(fields);
    let ours = of_product("demo", shown);
    assert_eq!(ours.keys().collect::<Vec<_>>(), ["demo-1"]);
}
