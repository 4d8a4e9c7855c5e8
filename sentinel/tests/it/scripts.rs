//! Scripts, run by real events.

use crate::support::{Kind, Quorum, Server, script, wait_for};

/// A notification script gets event and text of every warning; the reconfig script gets the
/// switch once on each sentinel, as leader on one of them.
#[test]
fn scripts_run_with_the_arguments_of_the_event() {
    let dir = tempfile::tempdir().unwrap();
    let (notify, reconfig) = (dir.path().join("notify.sh"), dir.path().join("reconfig.sh"));
    let calls = dir.path().join("calls");
    // The line leaves in one write: scripts of three sentinels append to the file at once.
    let body = format!(
        "line=$(basename \"$0\")$(printf ' [%s]' \"$@\")\nprintf '%s\\n' \"$line\" >> {}",
        calls.display()
    );
    script(&notify, &body);
    script(&reconfig, &body);
    let lines = format!(
        "sentinel notification-script m {}\nsentinel client-reconfig-script m {}\n",
        notify.display(),
        reconfig.display()
    );
    let mut quorum = Quorum::start(&[Kind::Ours; 3], 1, &lines);
    let old = quorum.servers[0].words();
    quorum.servers[0].process.kill();
    let (new, _) = quorum.wait_for_switch(0);
    let bracketed = |server: &Server| format!("[{}] [{}]", server.host, server.port);
    let (from, to) = (
        bracketed(&quorum.servers[0]),
        bracketed(&quorum.servers[new]),
    );
    let expected = |role: &str| format!("reconfig.sh [m] [{role}] [start] {from} {to}");
    let text = || std::fs::read_to_string(&calls).unwrap_or_default();
    let count = |line: &str| text().lines().filter(|l| *l == line).count();
    wait_for("the reconfig script has run on all", || {
        count(&expected("leader")) == 1 && count(&expected("observer")) == 2
    });
    let sdown = format!("notify.sh [+sdown] [master m {old}]");
    wait_for("the notification script has run on a majority", || {
        count(&sdown) >= 2
    });
    let switch = format!(
        "notify.sh [+switch-master] [m {old} {}]",
        quorum.servers[new].words()
    );
    wait_for("the switch was notified by all", || count(&switch) == 3);
}
