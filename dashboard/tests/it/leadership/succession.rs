//! Many leaders, one after the other.

use codis_core::ha::{LeaderRecord, Term};
use codis_core::{json, paths};
use codis_runtime::coordinator::Shared;
use rustix::process::Signal;

use super::bed::{Boards, Writer, leads, until_leads};
use crate::bed::{Dashboard, PRODUCT, until};

/// How often the lead changes.
const CHANGES: u32 = 100;
/// With so many that try twice a second, one is there soon.
const BOARDS: usize = 5;

async fn last(records: &Shared) -> LeaderRecord {
    let record = records.read(&paths::ha_leader(PRODUCT)).await.unwrap();
    json::decode(&record.unwrap()).unwrap()
}

/// What takes the lead from a dashboard; gives whether it still runs.
async fn depose(boards: &Boards, records: &Shared, board: &mut Dashboard, how: u32) {
    match how {
        0 => {
            board.process.signal(Signal::TERM);
            assert!(board.process.ended().await.success());
        }
        1 => board.process.kill(),
        _ => return records.delete(&paths::topom(PRODUCT)).await.unwrap(),
    }
    *board = boards.start_at(board.port, &[]);
}

/// The leader stops, is killed, or is robbed of its lock, a hundred times, while a client writes
/// through whoever is there. Terms only rise, each has one leader, and what was acknowledged stays.
#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_leaders_follow_each_other() {
    let boards = Boards::on_directory();
    let mut all: Vec<Dashboard> = (0..BOARDS).map(|_| boards.start()).collect();
    let records = boards.records().await;
    until("somebody leads", async || {
        let record = records.read(&paths::ha_leader(PRODUCT)).await;
        record.unwrap().is_some()
    })
    .await;
    let mut writer = Writer::new();
    let mut leaders: Vec<LeaderRecord> = Vec::new();
    for round in 0..CHANGES {
        let leader = last(&records).await;
        let before = leaders.last().map_or(Term(0), |record| record.term);
        assert!(leader.term > before, "{} after {before}", leader.term);
        let is_it = |board: &Dashboard| board.addr == leader.admin_addr;
        let at = all.iter().position(is_it).unwrap();
        writer.until_acknowledged(&all[at]).await;
        depose(&boards, &records, &mut all[at], round % 3).await;
        until("another term begins", async || {
            last(&records).await.term > leader.term
        })
        .await;
        leaders.push(leader);
    }
    let end = last(&records).await;
    let is_it = |board: &Dashboard| board.addr == end.admin_addr;
    let at = all.iter().position(is_it).unwrap();
    until_leads(&all[at]).await;
    let mut leading = 0;
    for board in &all {
        until("it answers for all", async || writer.write(board).await).await;
        writer.check(board).await;
        leading += u32::from(leads(board).await);
    }
    assert_eq!(leading, 1);
    assert!(writer.acknowledged.len() >= CHANGES as usize + BOARDS);
    let mut led: Vec<_> = leaders.iter().map(|record| &record.admin_addr).collect();
    led.sort_unstable();
    led.dedup();
    assert!(led.len() > 1, "all of them were the same one");
}
