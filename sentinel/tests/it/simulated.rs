//! `SENTINEL SIMULATE-FAILURE`: the leader ends at the named moment, and another one goes on.

use crate::support::{Kind, Quorum, show, wait_for};

/// Orders a failover at a sentinel that is to end in it. The number of its place.
fn end_in_failover(quorum: &mut Quorum, flag: &str) {
    let ending = &mut quorum.sentinels[0];
    let order = format!("SENTINEL SIMULATE-FAILURE {flag}");
    assert_eq!(show(&ending.call(&order)), "+OK");
    let mut client = ending.client();
    client.write("SENTINEL FAILOVER m");
    let status = ending.process.wait();
    assert_eq!(status.code(), Some(99), "{}", ending.log());
}

#[test]
fn a_leader_that_ends_after_its_election_has_promoted_nobody() {
    let mut quorum = Quorum::start(&[Kind::Ours; 3], 1, "");
    end_in_failover(&mut quorum, "crash-after-election");
    let log = quorum.sentinels[0].log();
    assert!(
        log.contains("+elected-leader") && !log.contains("+selected-slave"),
        "{log}"
    );
    assert_eq!(quorum.servers[0].role(), "master");
    // The master dies: the others fail it over at a higher epoch.
    quorum.sentinels.remove(0);
    quorum.servers[0].process.kill();
    quorum.wait_for_switch(0);
    let leaders = quorum.sentinels.iter();
    let leaders = leaders
        .filter(|it| it.log().contains("+elected-leader"))
        .count();
    assert_eq!(leaders, 1);
}

#[test]
fn a_leader_that_ends_after_the_promotion_is_replaced_by_one_that_ends_it() {
    let mut quorum = Quorum::start(&[Kind::Ours; 3], 2, "");
    end_in_failover(&mut quorum, "crash-after-promotion");
    let log = quorum.sentinels[0].log();
    assert!(
        log.contains("+promoted-slave") && !log.contains("+slave-reconf-sent"),
        "{log}"
    );
    // Nobody was told: two servers say that they are masters, and the others know one of them.
    quorum.sentinels.remove(0);
    wait_for("one master, and all follow it", || {
        let roles: Vec<String> = quorum.servers.iter().map(|it| it.role()).collect();
        let masters = roles.iter().filter(|it| *it == "master").count();
        let known = quorum.sentinels[0].master();
        let agreed = quorum.sentinels.iter().all(|it| it.master() == known);
        let named = quorum
            .servers
            .iter()
            .find(|it| it.words() == known)
            .unwrap();
        masters == 1 && agreed && named.role() == "master"
    });
    // And a failover goes on as ever.
    let known = quorum.sentinels[0].master();
    let at = quorum
        .servers
        .iter()
        .position(|it| it.words() == known)
        .unwrap();
    quorum.servers[at].process.kill();
    quorum.wait_for_switch(at);
}

#[test]
fn both_moments_can_be_named_and_others_cannot() {
    let quorum = Quorum::start(&[Kind::Ours], 0, "");
    let ask = |words: &str| show(&quorum.sentinels[0].call(words));
    let flags = || {
        let info = ask("INFO sentinel");
        let line = info
            .lines()
            .find(|it| it.contains("simulate_failure"))
            .unwrap();
        line.rsplit(':').next().unwrap().trim().to_owned()
    };
    let both = "SENTINEL SIMULATE-FAILURE crash-after-election CRASH-AFTER-PROMOTION";
    assert_eq!(ask(both), "+OK");
    assert_eq!(flags(), "3");
    let unknown = ask("SENTINEL SIMULATE-FAILURE nonsense");
    assert_eq!(unknown, "-ERR Unknown failure simulation specified");
    let help = ask("SENTINEL SIMULATE-FAILURE help");
    assert_eq!(help, "[crash-after-election, crash-after-promotion]");
}
