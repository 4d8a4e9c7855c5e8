//! What the pollers make of servers.

use crate::bed::{Bed, until};

/// A promotion cuts every connection of a server; the server is fine.
#[tokio::test(flavor = "multi_thread")]
async fn a_cut_connection_is_no_error_of_the_server() {
    let bed = Bed::new();
    let dashboard = bed.dashboard().await;
    let servers = bed.replicated(0).await;
    dashboard.fill_group(1, &servers).await;
    let addr = servers[0].addr.as_str();
    let polled = async || {
        dashboard
            .stats()
            .await
            .group
            .stats
            .remove(addr)
            .unwrap_or_default()
    };
    until("the server is polled", async || {
        !polled().await.stats.is_empty()
    })
    .await;
    let field = "total_connections_received";
    for _ in 0..3 {
        let before: u64 = servers[0].info(field).await.unwrap().parse().unwrap();
        let kill = ["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"];
        servers[0].call(&kill).await.unwrap();
        until("the dashboard asks on a new connection", async || {
            let report = polled().await;
            assert!(report.error.is_none(), "{report:?}");
            // Ours that counted and ours that killed are two. A busy machine may be too late once.
            let shown = report.stats.get(field);
            shown.is_some_and(|shown| shown.parse::<u64>().unwrap() > before + 1)
        })
        .await;
    }
}
