//! Quorums of sentinels without a cluster: ours beside those of other versions, and the stopwatch.

use std::time::Duration;

use codis_chaos::preflight::Programs;
use codis_chaos::quorum::mixed::{self, Mix};
use codis_chaos::quorum::times::{self, Fault};
use codis_chaos::quorum::{Breed, Breeds};
use codis_chaos::talk::Talk;

fn breeds() -> Breeds {
    Breeds::beside(Programs::beside_this().unwrap())
}

/// Every mix of ours with Redis 3.2, 6.2, 7.0 and Valkey 9 fails over, whoever leads.
#[tokio::test]
async fn every_mix_fails_over_with_either_side_as_leader() {
    let state = tempfile::tempdir().unwrap();
    let mixes = Mix::all(&Breed::OTHERS);
    let talk = Talk::silent();
    let results = mixed::run(&breeds(), &mixes, 1, 4, "127.71", state.path(), &talk).await;
    let results = results.unwrap();
    assert_eq!(results.failures, Vec::<String>::new());
    assert!(results.lines.iter().all(|line| line.passed == 1));
}

/// The stopwatch gives all its figures, for both breeds and faults.
#[tokio::test]
async fn the_stopwatch_gives_its_figures() {
    let state = tempfile::tempdir().unwrap();
    let plan = times::Plan {
        breeds: vec![Breed::Ours, Breed::Redis70],
        faults: vec![Fault::Kill, Fault::Stop],
        down_afters: vec![Duration::from_millis(1000)],
        trials: 1,
        parallel: 2,
        net: "127.72".to_owned(),
    };
    let results = times::run(&breeds(), &plan, state.path(), &Talk::silent()).await;
    let results = results.unwrap();
    println!("{results}");
    assert_eq!(results.failures, Vec::<String>::new());
    for line in &results.lines {
        let (odown, write) = (line.odown.unwrap(), line.first_write.unwrap());
        let switch = line.switch_master.unwrap();
        assert!(
            odown.min <= switch.min && switch.min <= write.min,
            "{line:?}"
        );
        assert!(write.min > 500.0, "not before down-after: {line:?}");
    }
}
