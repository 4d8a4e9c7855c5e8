//! What standbys pass on is counted by what became of it.

use rustix::process::Signal;

use super::bed::{Boards, pair};
use crate::bed::{call, figure, until};

#[tokio::test(flavor = "multi_thread")]
async fn what_a_standby_passes_on_is_counted_by_outcome() {
    let boards = Boards::on_directory();
    let (leader, standby) = pair(&boards).await;
    let counted = async |outcome: &str| {
        let name =
            format!("codis_dashboard_forwarded_duration_seconds_count{{outcome=\"{outcome}\"}}");
        figure(&standby.addr, &name).await
    };
    for outcome in ["answered", "own_records", "not_sent", "unknown"] {
        assert_eq!(counted(outcome).await, Some(0.0), "{outcome}");
    }
    standby.put("group/create/X/1").await;
    standby.refused("group/create/X/1").await;
    // A busy leader may be late with an answer. Then the standby reads its own records.
    let mut own = 0.0;
    until("a read is answered by the leader", async || {
        let read = call(&standby.addr, "GET", "/topom/stats", "").await;
        let is_own = read.unwrap().head.contains("x-codis-stale");
        own += f64::from(u8::from(is_own));
        !is_own
    })
    .await;
    // One that was late was asked for again.
    let answered = counted("answered").await;
    assert!(answered >= Some(3.0), "a refusal is an answer");
    assert_eq!(counted("own_records").await, Some(own));

    until("the standby has records of its own", async || {
        let who = standby.get("/topom/leader").await;
        who["records_age_ms"].is_u64()
    })
    .await;
    leader.process.signal(Signal::STOP);
    let read = call(&standby.addr, "GET", "/topom/stats", "").await;
    assert_eq!(read.unwrap().status, 200);
    assert_eq!(counted("own_records").await, Some(own + 1.0));
    leader.process.signal(Signal::CONT);
    let wait = "codis_dashboard_forwarded_duration_seconds_sum{outcome=\"own_records\"}";
    let waited = figure(&standby.addr, wait).await.unwrap();
    assert!(waited > 0.4, "it waited for the leader: {waited}");
}
