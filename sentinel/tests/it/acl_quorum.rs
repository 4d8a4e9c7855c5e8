//! Quorums and data servers that let in only those with permissions, and no more of them than a
//! sentinel needs.

use crate::support::{Kind, Quorum, Sentinel, Server, show, wait_for};

/// A user of a sentinel with what other sentinels need.
const PEER: &str = "\
    requirepass secret\n\
    user peer on >peerpw -@all +auth +client|setname +ping +publish \
    +sentinel|is-master-down-by-addr &__sentinel__:hello\n\
    sentinel sentinel-user peer\nsentinel sentinel-pass peerpw\n";

/// A user of a data server with what sentinels need.
const WATCHER: &str = "\
    requirepass secret\nmasterauth secret\n\
    user watcher on >watcherpw -@all +multi +slaveof +ping +exec +subscribe +publish +info \
    +config|rewrite +client|setname +client|kill +script|kill &__sentinel__:hello\n";

/// Kills the master and waits until it has a successor that the other replica follows.
fn fails_over(mut quorum: Quorum) {
    for sentinel in &quorum.sentinels {
        let check = show(&sentinel.call("SENTINEL CKQUORUM m"));
        assert!(check.starts_with("+OK 3 usable Sentinels"), "{check}");
    }
    quorum.servers[0].process.kill();
    let (new, _) = quorum.wait_for_switch(0);
    let master = quorum.servers[new].words().replace(' ', ", :");
    wait_for("the other replica follows", || {
        let role = show(&quorum.servers[3 - new].call("ROLE"));
        role.contains(&master) && role.contains("connected")
    });
    quorum.servers[0].restart();
    wait_for("the old master follows", || {
        quorum.servers[0].role() == "slave"
    });
}

/// A password for everybody: each sentinel gives its own to the others.
#[test]
fn sentinels_with_a_password_fail_over() {
    let lines = "requirepass secret\n";
    fails_over(Quorum::start(&[Kind::Ours; 3], 2, lines));
    let mixed = [Kind::Ours, Kind::Ours, Kind::Stock];
    fails_over(Quorum::start(&mixed, 2, lines));
}

/// A user for the other sentinels that may do nothing else.
#[test]
fn sentinels_with_a_user_of_minimal_permissions_fail_over() {
    fails_over(Quorum::start(&[Kind::Ours; 3], 2, PEER));
}

/// The same with stock sentinels among them, in either majority.
#[test]
fn mixed_sentinels_with_a_user_of_minimal_permissions_fail_over() {
    for mixed in [
        [Kind::Ours, Kind::Ours, Kind::Stock],
        [Kind::Ours, Kind::Stock, Kind::Stock],
    ] {
        fails_over(Quorum::start(&mixed, 2, PEER));
    }
}

/// Data servers whose user for sentinels may do nothing else.
#[test]
fn servers_with_a_user_of_minimal_permissions_are_failed_over() {
    let lines = "sentinel auth-user m watcher\nsentinel auth-pass m watcherpw\n";
    let master = Server::with(WATCHER);
    fails_over(Quorum::with(master, &[Kind::Ours; 3], 2, lines));
    let mixed = [Kind::Ours, Kind::Stock, Kind::Ours];
    fails_over(Quorum::with(Server::with(WATCHER), &mixed, 2, lines));
}

/// A sentinel that refuses another's PING is down for it, as it could not vote.
#[test]
fn a_sentinel_that_lets_nobody_in_is_down() {
    let quorum = Quorum::start(&[Kind::Ours; 3], 1, "requirepass secret\n");
    let mut closed = quorum.sentinels[0].client();
    for rule in [
        "ACL SETUSER default resetpass >other",
        "ACL SETUSER default -ping",
    ] {
        let reply = show(&closed.call(rule));
        assert_eq!(reply, "+OK", "{rule}");
    }
    let seen = |sentinel: &Sentinel| show(&sentinel.call("SENTINEL SENTINELS m"));
    for sentinel in &quorum.sentinels[1..] {
        wait_for("the sentinel that answers NOPERM is down", || {
            seen(sentinel).contains("flags, s_down,sentinel,")
        });
    }
    // A new connection does not even come that far: it is told NOAUTH.
    for request in ["ACL SETUSER default +ping", "CLIENT KILL TYPE normal"] {
        assert!(closed.call(request).as_error().is_none(), "{request}");
    }
    wait_for("both others are refused", || {
        let log = show(&closed.call("ACL LOG 1"));
        log.contains("object, AUTH, username, default") && !log.contains("[count, :1,")
    });
    for sentinel in &quorum.sentinels[1..] {
        wait_for("the sentinel that answers NOAUTH is down", || {
            seen(sentinel).contains("s_down")
        });
    }
    // AUTH is sent once, when a connection is opened.
    for request in ["ACL SETUSER default >secret", "CLIENT KILL TYPE normal"] {
        assert!(closed.call(request).as_error().is_none(), "{request}");
    }
    for sentinel in &quorum.sentinels[1..] {
        wait_for("it is up again", || !seen(sentinel).contains("s_down"));
    }
}
