//! A restore that is killed at its writes: nobody leads on what it left, and the same command
//! finishes it, beside a dashboard that waits for that.

use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::Arc;

use codis_core::ha::LeaderRecord;
use codis_core::{json, paths};
use rustix::process::Signal;
use serde_json::Value;

use super::invariants::{Heights, SERVED};
use super::stage::{Ground, Stage};
use super::{AFTER, BEFORE, Plan, WRITES_MAX};
use crate::bed::neighbour;
use crate::leadership::leads;
use crate::stores::{Kind, Store};

/// Slots that the dump gives to somebody: more than one commit takes, and not many more.
const GIVEN: usize = SERVED as usize;

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_that_was_killed_is_finished_on_a_directory() {
    let plan = Plan {
        points: &[BEFORE, AFTER],
        ..Plan::restart()
    };
    killed(plan).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_that_was_killed_is_finished_on_etcd() {
    killed(sample(Kind::Etcd)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_that_was_killed_is_finished_on_zookeeper() {
    killed(sample(Kind::ZooKeeper)).await;
}

fn sample(kind: Kind) -> Plan {
    Plan {
        ground: Ground::server(&Arc::new(Store::start(kind))),
        points: &[AFTER],
        writes: |turn| 1 + 2 * (turn - 1),
        ..Plan::restart()
    }
}

async fn killed(plan: Plan) {
    let mut stage = Stage::new(plan, "").await;
    let restore = Restore::of(&mut stage).await;
    for point in stage.plan.points {
        let mut hits = 0;
        for turn in 1.. {
            let count = (stage.plan.writes)(turn);
            assert!(count < WRITES_MAX, "{point}: it never ends");
            stage.at = format!("restore, {point} {count}");
            if !restore.round(&mut stage, point, count).await {
                break;
            }
            hits += 1;
        }
        assert!(hits > 2, "{point} was passed {hits} times");
        eprintln!("{}: restore, {point}: {hits} times", stage.plan.ground.name);
    }
}

/// A dump, and the command that writes it.
struct Restore {
    file: PathBuf,
    wanted: Value,
}

impl Restore {
    /// Dumps the product and ends its dashboard.
    async fn of(stage: &mut Stage) -> Self {
        let dumped = admin(stage, &["--config-dump"], None);
        assert!(dumped.status.success(), "{dumped:?}");
        let mut wanted: Value = serde_json::from_slice(&dumped.stdout).unwrap();
        for slot in &mut wanted["slots"].as_array_mut().unwrap()[GIVEN..] {
            slot["group_id"] = 0.into();
        }
        // Their slots are nobody's now.
        stage.keys.clear();
        let file = stage.bed.path("dump");
        std::fs::write(&file, wanted.to_string()).unwrap();
        end(stage).await;
        Self { file, wanted }
    }

    fn run(&self, stage: &Stage, fault: Option<PathBuf>) -> Output {
        let file = format!("--config-restore={}", self.file.display());
        admin(stage, &[&file, "--confirm"], fault)
    }

    /// Gives whether the restore was killed.
    async fn round(&self, stage: &mut Stage, point: &str, count: u32) -> bool {
        wipe(stage).await;
        // Terms begin anew with the store.
        stage.heights = Heights::default();
        stage.arm(point, count);
        let fault = stage.bed.fault(stage.leader.port);
        let first = self.run(stage, Some(fault));
        let hit = stage.is_hit();
        stage.disarm();
        let told = String::from_utf8_lossy(&first.stderr).into_owned();
        match hit {
            true => assert_eq!(first.status.signal(), Some(9), "{}: {told}", stage.at),
            false => assert!(first.status.success(), "{}: {told}", stage.at),
        }
        let mark = paths::ha_restore(&stage.bed.product);
        if stage.records.read(&mark).await.unwrap().is_some() {
            stage.leader = stage.start_dashboard();
            self.is_waited_for(stage).await;
            self.finish(stage);
        } else {
            let group = paths::group(&stage.bed.product, 1);
            if stage.records.read(&group).await.unwrap().is_none() {
                // It was killed before it began.
                self.finish(stage);
            }
            stage.leader = stage.start_dashboard();
        }
        self.is_led(stage).await;
        stage
            .until_quiet("the records are taken up", async |_| true)
            .await;
        stage.check().await;
        self.is_whole(stage);
        end(stage).await;
        hit
    }

    fn finish(&self, stage: &Stage) {
        let again = self.run(stage, None);
        assert!(again.status.success(), "{}: {again:?}", stage.at);
    }

    /// The dashboard says what it waits for, and changes nothing meanwhile.
    async fn is_waited_for(&self, stage: &Stage) {
        let next_step = "--config-restore` with the same file";
        stage
            .until("the dashboard says how to go on", async || {
                assert!(!leads(&stage.leader).await, "{}", stage.at);
                stage.leader.process.log().contains(next_step)
            })
            .await;
        let asked = stage.ask("group/create/X/77", "").await;
        assert_ne!(asked, Some(200), "{}", stage.at);
    }

    /// The dashboard leads by itself, under a term of its own.
    async fn is_led(&self, stage: &Stage) {
        let path = paths::ha_leader(&stage.bed.product);
        stage
            .until("the dashboard leads", async || {
                let record = stage.records.read(&path).await.unwrap();
                let leader = record.map(|text| json::decode::<LeaderRecord>(&text).unwrap());
                leads(&stage.leader).await
                    && leader.is_some_and(|last| last.admin_addr == stage.leader.addr)
            })
            .await;
    }

    fn is_whole(&self, stage: &Stage) {
        let dumped = admin(stage, &["--config-dump"], None);
        let held: Value = serde_json::from_slice(&dumped.stdout).unwrap();
        for part in ["slots", "group", "proxy"] {
            assert_eq!(held[part], self.wanted[part], "{}: {part}", stage.at);
        }
    }
}

fn admin(stage: &Stage, words: &[&str], fault: Option<PathBuf>) -> Output {
    let (name, addr) = stage.place();
    let mut command = Command::new(neighbour("codis-admin"));
    command.arg(format!("--{name}={addr}"));
    command.arg(format!("--product={}", stage.bed.product));
    if let Some(fault) = fault {
        command.env("CODIS_FAULT_POINTS", fault);
    }
    command.args(words).output().unwrap()
}

/// Ends the dashboard in order, so that its lock is free.
async fn end(stage: &mut Stage) {
    stage.leader.process.signal(Signal::TERM);
    stage.leader.process.ended().await;
}

/// Deletes all records of the product, as on a new store.
async fn wipe(stage: &Stage) {
    let product = &stage.bed.product;
    for dir in [
        paths::slots(product),
        paths::groups(product),
        paths::proxies(product),
        paths::ha_groups(product),
    ] {
        for (path, _) in stage.records.read_dir(&dir).await.unwrap() {
            stage.records.delete(&path).await.unwrap();
        }
    }
    let sentinel = paths::sentinel(product);
    stage.records.delete(&sentinel).await.unwrap();
}
