//! `SENTINEL CANDIDATES` of a real quorum.

use crate::support::{Kind, Quorum, field, show, wait_for};

/// The replicas are told in the order in which they would be promoted, and a failover that refused
/// one is remembered with its reason and its epoch.
#[test]
fn candidates_have_ranks_and_reasons() {
    let mut quorum = Quorum::start(&[Kind::Ours; 3], 2, "");
    let sentinel = &quorum.sentinels[0];
    assert_eq!(
        show(&sentinel.call("SENTINEL CANDIDATES nobody")),
        "-ERR No such master with that name"
    );
    let unfit = quorum.servers[2].words();
    quorum.servers[2].call("CONFIG SET replica-priority 0");
    let refused = |sentinel: &crate::support::Sentinel| {
        let reply = sentinel.call("SENTINEL CANDIDATES m");
        let views = reply.as_array().unwrap().to_vec();
        let unfit = views.iter().find(|view| {
            let word = |name| field(view, name).unwrap();
            format!("{} {}", word("ip"), word("port")) == unfit
        });
        (views.len(), unfit.map(show).unwrap_or_default())
    };
    quorum.servers[0].process.kill();
    quorum.wait_for_switch(0);
    let is_leader = |it: &&crate::support::Sentinel| it.log().contains("+elected-leader ");
    let mut leader = None;
    wait_for("the leader has logged its election", || {
        leader = quorum.sentinels.iter().find(is_leader);
        leader.is_some()
    });
    let leader = leader.unwrap();
    wait_for("the refusal is remembered", || {
        let (count, text) = refused(leader);
        count == 2
            && text.contains("rank, 0")
            && text.contains("refused, [its priority is 0]")
            && text.contains("last-refused, its priority is 0, last-refused-epoch, ")
            && !text.contains("last-refused-epoch, 0")
    });
    println!("{}", show(&leader.call("SENTINEL CANDIDATES m")));
}

/// A map in RESP3, with the best candidate first.
#[test]
fn the_best_candidate_is_first() {
    let quorum = Quorum::start(&[Kind::Ours; 1], 2, "");
    let best = quorum.servers[2].words();
    quorum.servers[2].call("CONFIG SET replica-priority 7");
    // INFO of a replica in its place comes every ten seconds.
    wait_for("the priority is known", || {
        let reply = quorum.sentinels[0].call("SENTINEL CANDIDATES m");
        let first = &reply.as_array().unwrap()[0];
        let word = |name| field(first, name).unwrap();
        let at = format!("{} {}", word("ip"), word("port"));
        at == best && word("rank") == "1" && word("priority") == "7"
    });
    let mut client = quorum.sentinels[0].client();
    client.call("HELLO 3");
    let reply = client.call("SENTINEL CANDIDATES m");
    let first = &reply.as_array().unwrap()[0];
    assert!(first.as_map().is_some(), "{}", show(first));
    assert_eq!(field(first, "rank").as_deref(), Some("1"));
}
