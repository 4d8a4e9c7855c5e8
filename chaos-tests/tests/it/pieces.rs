//! The parts of the harness against plain Redis servers: what it starts, and what it finds.

use std::time::{Duration, Instant};

use codis_chaos::checker;
use codis_chaos::layout::{Layout, Member, Net};
use codis_chaos::plans::{Planner, Settings};
use codis_chaos::preflight::{self, Programs};
use codis_chaos::process::{Process, Stopped};
use codis_chaos::query;
use codis_chaos::workload::{self, LaneKind, Workload};

const SOON: Duration = Duration::from_secs(20);

/// One server of the layout, and a planner for the rest.
struct Server {
    _state: tempfile::TempDir,
    planner: Planner,
    member: Member,
    process: Process,
}

impl Server {
    async fn start(net: Net) -> Self {
        let state = tempfile::tempdir().unwrap();
        let layout = Layout::six_hosts(net);
        let member = layout.redis().next().unwrap().clone();
        let programs = Programs::in_dir("unused");
        let path = state.path().to_owned();
        let planner = Planner::new(layout, programs, path, Settings::default());
        let process = Process::start(planner.plan(&member).unwrap()).unwrap();
        let server = Self {
            _state: state,
            planner,
            member,
            process,
        };
        server.ready().await;
        server
    }

    async fn ready(&self) {
        let deadline = Instant::now() + SOON;
        while let Err(error) = query::pings(&self.member.addr).await {
            let log = self.process.log_tail(20);
            assert!(Instant::now() < deadline, "{error}; log:\n{log}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn ask(&self, words: &[&str]) -> redis::Value {
        query::ask(&self.member.addr, words).await.unwrap()
    }
}

/// A layout whose two proxies are that one server.
fn direct(server: &Server, net: Net) -> Layout {
    let mut layout = Layout::six_hosts(net);
    for member in &mut layout.members {
        if member.role.program() == "codis-proxy" {
            member.addr = server.member.addr.clone();
        }
    }
    layout
}

async fn wait_acked(workload: &Workload, count: u64) {
    let deadline = Instant::now() + SOON;
    while workload.acked_min() < count {
        assert!(Instant::now() < deadline, "writers got stuck");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn the_shipped_redis_conf_is_taken_and_data_survives_a_restart() {
    let mut server = Server::start(Net::loopback(21, 1)).await;
    server.ask(&["SET", "k", "v"]).await;
    let info = query::info(&server.member.addr, "server").await.unwrap();
    assert_eq!(info["process_id"], server.process.id().to_string());
    let stopped = server.process.stop(Instant::now() + SOON);
    assert!(matches!(stopped, Stopped::Orderly(_)), "{stopped:?}");
    server.process = Process::start(server.planner.plan(&server.member).unwrap()).unwrap();
    server.ready().await;
    let kept = server.ask(&["GET", "k"]).await;
    assert_eq!(kept, redis::Value::BulkString(b"v".to_vec()));
}

#[tokio::test]
async fn the_checker_finds_what_is_taken_away_behind_the_writers() {
    let net = Net::loopback(21, 2);
    let server = Server::start(net).await;
    let layout = direct(&server, net);
    let workload = Workload::start(&layout, "t").unwrap();
    wait_acked(&workload, 20).await;
    let history = workload.stop().unwrap();
    let keys = history
        .lanes
        .iter()
        .filter_map(|(lane, _)| match &lane.kind {
            LaneKind::Writer { key } => Some(key.clone()),
            LaneKind::Reader => None,
        });
    let keys: Vec<_> = keys.collect();
    let read = || {
        let deadline = Instant::now() + SOON;
        let list = |key: &String| workload::read_list(&server.member.addr, key, deadline);
        keys.iter()
            .map(|key| (key.clone(), list(key).unwrap()))
            .collect()
    };
    let clean = checker::check(&history, &read());
    assert!(clean.acknowledged >= 12 * 20, "{clean:?}");
    assert_eq!((clean.lost, clean.reads_stale, clean.unknown), (0, 0, 0));

    server.ask(&["LREM", &keys[3], "1", "7"]).await;
    server.ask(&["RPUSH", &keys[4], "1"]).await;
    server.ask(&["DEL", &keys[5]]).await;
    let found = checker::check(&history, &read());
    let (_, gone) = &history.lanes[5];
    assert_eq!(found.lost, 1 + gone.len() as u64);
    assert_eq!((found.doubled, found.disordered, found.foreign), (1, 1, 0));
}

#[tokio::test]
async fn clients_note_errors_and_go_on_after_a_restart() {
    let net = Net::loopback(21, 3);
    let mut server = Server::start(net).await;
    let layout = direct(&server, net);
    let workload = Workload::start(&layout, "t").unwrap();
    wait_acked(&workload, 20).await;
    server.process.kill();
    server.process = Process::start(server.planner.plan(&server.member).unwrap()).unwrap();
    server.ready().await;
    let so_far = (1..=3)
        .flat_map(|group| workload.acked(group))
        .max()
        .unwrap();
    wait_acked(&workload, so_far + 20).await;
    let history = workload.stop().unwrap();
    let errors: Vec<_> = history.ops().filter_map(|(_, op)| op.error()).collect();
    assert!(!errors.is_empty());
    let known = |text: &&str| text.starts_with("connection: ") || text.starts_with("LOADING");
    assert!(errors.iter().all(known), "{errors:?}");
}

#[tokio::test]
async fn the_shipped_sentinel_conf_is_taken_by_a_stock_sentinel() {
    let state = tempfile::tempdir().unwrap();
    let layout = Layout::six_hosts(Net::loopback(21, 4));
    let member = layout.sentinels().next().unwrap().clone();
    let programs = Programs::in_dir("unused");
    let path = state.path().to_owned();
    let planner = Planner::new(layout, programs, path, Settings::default());
    let mut plan = planner.plan(&member).unwrap();
    plan.program = preflight::on_path("redis-sentinel").unwrap();
    let process = Process::start(plan).unwrap();
    let deadline = Instant::now() + SOON;
    while let Err(error) = query::pings(&member.addr).await {
        assert!(
            Instant::now() < deadline,
            "{error}; log:\n{}",
            process.log_tail(20)
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
