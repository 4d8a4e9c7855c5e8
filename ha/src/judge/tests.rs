//! Tables of what is judged, row by row of what the original does and of what it must not do.

use codis_core::api::{ProxyReport, ProxyStats, RemoteError, ServerStats};
use codis_core::model::{Group, GroupServer, Proxy};

use super::*;

mod follow;

const INTERVAL: Duration = Duration::from_secs(5);

/// A product as a dashboard tells of it, and a judge who has looked at it.
struct Bed {
    judge: Judge,
    stats: Stats,
    /// Counts looks; polls are made between them.
    looks: u64,
    /// Servers that do not answer us.
    silent: BTreeSet<String>,
}

type Field<'a> = (&'a str, &'a str);

const LEADS: &[Field<'_>] = &[("role", "master"), ("db0", "keys=9,expires=0")];

fn group(id: u32, addrs: &[&str]) -> Group {
    let server = |addr: &&str| GroupServer {
        addr: (*addr).to_owned(),
        ..GroupServer::default()
    };
    Group {
        id,
        servers: addrs.iter().map(server).collect(),
        ..Group::default()
    }
}

impl Bed {
    /// Group 1 of `m` with replicas `a` and `b`, and two more groups of one server.
    fn new() -> Self {
        let mut bed = Self {
            judge: Judge::new(INTERVAL),
            stats: Stats::default(),
            looks: 0,
            silent: BTreeSet::new(),
        };
        let groups = [
            group(1, &["m", "a", "b"]),
            group(2, &["x"]),
            group(3, &["y"]),
        ];
        bed.stats.group.models = groups.to_vec();
        for addr in ["m", "x", "y"] {
            bed.poll(addr, LEADS);
        }
        for addr in ["a", "b"] {
            bed.follows(addr, "m", "up", &[]);
        }
        bed
    }

    fn poll(&mut self, addr: &str, fields: &[Field<'_>]) {
        let stats = fields.iter().map(|(k, v)| ((*k).into(), (*v).into()));
        let polled = ServerStats {
            stats: stats.collect(),
            ..ServerStats::default()
        };
        self.stats.group.stats.insert(addr.to_owned(), polled);
    }

    fn follows(&mut self, addr: &str, master: &str, link: &str, more: &[Field<'_>]) {
        let mut fields = vec![
            ("role", "slave"),
            ("master_addr", master),
            ("master_link_status", link),
            ("slave_repl_offset", "100"),
            ("db0", "keys=9,expires=0"),
        ];
        fields.extend_from_slice(more);
        self.poll(addr, &fields);
    }

    fn fail(&mut self, addr: &str) {
        let polled = ServerStats {
            error: Some(RemoteError::new("refused")),
            ..ServerStats::default()
        };
        self.stats.group.stats.insert(addr.to_owned(), polled);
    }

    fn time_out(&mut self, addr: &str) {
        let polled = ServerStats {
            timeout: true,
            ..ServerStats::default()
        };
        self.stats.group.stats.insert(addr.to_owned(), polled);
    }

    /// The master is gone, for the dashboard and for us; the replicas lost their link.
    fn kill_master(&mut self) {
        self.fail("m");
        self.silent.insert("m".to_owned());
        for addr in ["a", "b"] {
            self.follows(
                addr,
                "m",
                "down",
                &[("master_link_down_since_seconds", "3")],
            );
        }
    }

    fn now(&self) -> Time {
        Time::ZERO + INTERVAL * self.looks as u32
    }

    /// One look, with a new poll of every server before it.
    fn look(&mut self) -> Judgement {
        self.looks += 1;
        let unixtime = self.looks as i64;
        for polled in self.stats.group.stats.values_mut() {
            polled.unixtime = unixtime;
        }
        self.look_again()
    }

    /// One look at the same polls.
    fn look_again(&mut self) -> Judgement {
        let now = self.now();
        self.judge.handle_stats(now, &self.stats);
        let suspects = self.judge.suspects(&self.stats).into_iter();
        let witnessed = suspects.map(|addr| {
            let answers = !self.silent.contains(&addr);
            (addr, answers)
        });
        self.judge.decide(now, &self.stats, &witnessed.collect())
    }

    /// So many looks; the last judgement.
    fn looks(&mut self, times: u32) -> Judgement {
        let mut last = Judgement::default();
        for _ in 0..times {
            last = self.look();
        }
        last
    }

    /// Looks and carries out what is decided, so many times; gives the acts.
    fn acts(&mut self, times: u32) -> Vec<Act> {
        let mut acts = Vec::new();
        for _ in 0..times {
            let act = self.look().act;
            if let Some(act) = act {
                self.judge.handle_acted(self.now(), &act);
                acts.push(act);
            }
        }
        acts
    }

    fn server(&mut self, group: usize, index: usize) -> &mut GroupServer {
        &mut self.stats.group.models[group].servers[index]
    }
}

fn promote(candidate: &str) -> Option<Act> {
    let candidate = candidate.to_owned();
    Some(Act::Promote {
        group: 1,
        candidate,
    })
}

fn reattach(server: &str) -> Option<Act> {
    let server = server.to_owned();
    Some(Act::Reattach { server })
}

/// Kills the master after a healthy look, changes something, and looks long enough.
fn judged(change: impl Fn(&mut Bed)) -> Judgement {
    let mut bed = Bed::new();
    bed.look();
    bed.kill_master();
    change(&mut bed);
    bed.looks(SAMPLES_MIN + 1)
}

fn against(change: impl Fn(&mut Bed), reason: &str) {
    let judgement = judged(change);
    assert_eq!(judgement.act, None, "{reason}");
    let told = judgement.why_not.join("\n");
    assert!(told.contains(reason), "{reason}: {told}");
}

#[test]
fn a_healthy_product_is_left_alone() {
    assert_eq!(Bed::new().looks(5), Judgement::default());
}

#[test]
fn a_dead_master_is_replaced_after_some_polls_and_no_earlier() {
    for timed_out in [false, true] {
        let mut bed = Bed::new();
        bed.look();
        bed.kill_master();
        if timed_out {
            bed.time_out("m");
        }
        for _ in 1..SAMPLES_MIN {
            assert_eq!(bed.look(), Judgement::default());
        }
        assert_eq!(bed.look().act, promote("a"));
    }
}

#[test]
fn one_poll_counts_once_and_a_good_one_starts_anew() {
    let mut bed = Bed::new();
    bed.kill_master();
    bed.look();
    for _ in 0..9 {
        assert_eq!(bed.look_again().act, None);
    }
    bed.look();
    bed.poll("m", LEADS);
    bed.look();
    bed.kill_master();
    assert_eq!(bed.looks(SAMPLES_MIN - 1).act, None);
    assert_eq!(bed.look().act, promote("a"));
}

#[test]
fn a_dashboard_that_was_away_or_has_not_polled_yet_is_no_witness() {
    let mut bed = Bed::new();
    bed.kill_master();
    bed.looks(SAMPLES_MIN - 1);
    bed.judge.handle_silence();
    assert_eq!(bed.looks(SAMPLES_MIN - 1).act, None);
    assert_eq!(bed.look().act, promote("a"));
    let mut fresh = Bed::new();
    fresh.stats.group.stats.clear();
    fresh.stats.proxy.models.push(Proxy::default());
    assert_eq!(fresh.looks(9), Judgement::default());
}

#[test]
fn a_master_that_somebody_reaches_is_not_replaced() {
    against(
        |bed| {
            bed.silent.remove("m");
        },
        "answers here and not at the dashboard",
    );
    against(
        |bed| bed.follows("b", "m", "up", &[("master_last_io_seconds_ago", "1")]),
        "replica b still hears master m",
    );
    // A link to a master that hangs stays up until the replica gives up on it.
    let hangs = |bed: &mut Bed| {
        for addr in ["a", "b"] {
            bed.follows(addr, "m", "up", &[("master_last_io_seconds_ago", "15")]);
        }
    };
    assert_eq!(judged(hangs).act, promote("a"));
}

#[test]
fn with_sentinels_nothing_is_done() {
    let sentinels = |bed: &mut Bed| bed.stats.sentinels.model.servers = vec!["s".to_owned()];
    against(sentinels, "has sentinels");
    let mut bed = Bed::new();
    sentinels(&mut bed);
    assert_eq!(
        bed.looks(5),
        Judgement::default(),
        "and nothing is said of a healthy one"
    );
}

#[test]
fn many_dead_masters_at_once_are_the_network() {
    against(
        |bed| {
            bed.fail("x");
            bed.silent.insert("x".to_owned());
        },
        "2 of 3 masters look dead at once",
    );
    // The only group, or one of two, may die.
    for others in 0..2 {
        let act = judged(|bed| bed.stats.group.models.truncate(1 + others)).act;
        assert_eq!(act, promote("a"));
    }
}

#[test]
fn a_group_that_is_promoting_is_left_to_the_dashboard() {
    let promoting =
        |bed: &mut Bed| bed.stats.group.models[0].promoting.state = ActionState::Prepared;
    against(promoting, "promoting already");
}

#[test]
fn the_replica_with_the_most_data_takes_over() {
    let down = ("master_link_down_since_seconds", "3");
    let offset = |bed: &mut Bed, addr: &str, offset: &str| {
        bed.follows(addr, "m", "down", &[down, ("slave_repl_offset", offset)]);
    };
    assert_eq!(judged(|bed| offset(bed, "b", "101")).act, promote("b"));
    assert_eq!(judged(|bed| offset(bed, "b", "99")).act, promote("a"));
    let preferred = |bed: &mut Bed| bed.follows("b", "m", "down", &[down, ("slave_priority", "1")]);
    assert_eq!(judged(preferred).act, promote("b"));
}

#[test]
fn a_replica_that_is_not_fit_is_passed_over() {
    type Change = fn(&mut Bed, &str);
    let down = |bed: &mut Bed, addr: &str, more: &[Field<'_>]| {
        bed.follows(addr, "m", "down", more);
    };
    let changes: &[(&str, Change)] = &[
        ("does not answer the dashboard", |bed, addr| bed.fail(addr)),
        ("does not answer here", |bed, addr| {
            bed.silent.insert(addr.to_owned());
        }),
        ("follows x", |bed, addr| bed.follows(addr, "x", "up", &[])),
        ("follows nobody", |bed, addr| bed.poll(addr, LEADS)),
    ];
    let fields: &[(&str, &[Field<'_>])] = &[
        ("still loading", &[("loading", "1")]),
        ("still loading", &[("master_sync_in_progress", "1")]),
        (
            "priority 0",
            &[
                ("slave_priority", "0"),
                ("master_link_down_since_seconds", "3"),
            ],
        ),
        (
            "lost its master 999 s ago",
            &[("master_link_down_since_seconds", "999")],
        ),
        (
            "never had its master's data",
            &[("master_link_down_since_seconds", "-1")],
        ),
        ("never had its master's data", &[]),
    ];
    let passed_over = |reason: &str, change: &dyn Fn(&mut Bed, &str)| {
        assert_eq!(judged(|bed| change(bed, "a")).act, promote("b"), "{reason}");
        let both = |bed: &mut Bed| ["a", "b"].iter().for_each(|addr| change(bed, addr));
        against(both, reason);
    };
    for (reason, change) in changes {
        passed_over(reason, change);
    }
    for (reason, fields) in fields {
        passed_over(reason, &|bed, addr| down(bed, addr, fields));
    }
    against(
        |bed| bed.stats.group.models[0].servers.truncate(1),
        "has no replica",
    );
}

#[test]
fn a_replica_of_another_history_is_passed_over() {
    let mut bed = Bed::new();
    let with_id = |id| [LEADS, &[("master_replid", id)]].concat();
    bed.poll("m", &with_id("one"));
    bed.look();
    bed.kill_master();
    let down = ("master_link_down_since_seconds", "3");
    bed.follows("a", "m", "down", &[down, ("master_replid", "two")]);
    bed.follows("b", "m", "down", &[down, ("master_replid", "one")]);
    assert_eq!(bed.looks(SAMPLES_MIN).act, promote("b"));
}

#[test]
fn an_order_that_did_not_help_is_repeated_ever_later() {
    let mut bed = Bed::new();
    bed.look();
    bed.kill_master();
    let acts = bed.acts(9);
    assert_eq!(acts.len(), 2, "{acts:?}");
    let mut bed = Bed::new();
    bed.look();
    bed.kill_master();
    let acts = bed.acts(700);
    assert!((10..20).contains(&acts.len()), "{}", acts.len());
}

#[test]
fn lines_are_those_of_codis_admin() {
    let mut bed = Bed::new();
    for (id, token) in [(1, "t1"), (2, "t2"), (3, "t3"), (4, "t4")] {
        bed.stats.proxy.models.push(Proxy {
            id,
            token: token.to_owned(),
            admin_addr: "p:2".to_owned(),
            proxy_addr: "p:1".to_owned(),
            ..Proxy::default()
        });
    }
    let reports = &mut bed.stats.proxy.stats;
    let fine = ProxyReport {
        stats: Some(ProxyStats::default()),
        ..ProxyReport::default()
    };
    let failed = ProxyReport {
        error: Some(RemoteError::new("x")),
        ..ProxyReport::default()
    };
    let late = ProxyReport {
        timeout: true,
        ..ProxyReport::default()
    };
    for (token, report) in [("t1", fine), ("t2", failed), ("t3", late)] {
        reports.insert(token.to_owned(), report);
    }
    bed.follows("b", "m", "down", &[]);
    bed.fail("x");
    bed.stats.group.stats.remove("y");
    let lines = bed.judge.handle_stats(Time::ZERO, &bed.stats);
    let lines: Vec<String> = lines.iter().map(ToString::to_string).collect();
    assert_eq!(
        lines,
        [
            "[ ] proxy-1 [T] t1 [A] p:2 [P] p:1",
            "[E] proxy-2 [T] t2 [A] p:2 [P] p:1",
            "[T] proxy-3 [T] t3 [A] p:2 [P] p:1",
            "[?] proxy-4 [T] t4 [A] p:2 [P] p:1",
            "[ ] group-1 [0] m      ==> NO:ONE",
            "[ ] group-1 [1] a      ==> m:up",
            "[X] group-1 [2] b      ==> m:down",
            "[E] group-2 [0] x",
            "[?] group-3 [0] y",
        ]
    );
}
