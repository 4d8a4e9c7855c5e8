//! Quorums of sentinels without a cluster: ours beside those of other versions, and the stopwatch.

use std::time::Duration;

use codis_chaos::preflight::Programs;
use codis_chaos::quorum::mixed::{self, Mix};
use codis_chaos::quorum::times::{self, Fault};
use codis_chaos::quorum::{Breed, Breeds, rolling, scale, storm};
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

/// Many masters that die at once are all replaced, ours and stock sentinels alike.
#[tokio::test]
async fn many_masters_that_die_at_once_are_all_replaced() {
    let state = tempfile::tempdir().unwrap();
    let plan = scale::Plan {
        masters: 40,
        die: 12,
        down_after: Duration::from_secs(1),
        idle: Duration::from_secs(2),
        net: (127, 73),
    };
    let talk = Talk::silent();
    let results = scale::run(&breeds(), Breed::Ours, &plan, state.path(), &talk).await;
    let results = results.unwrap();
    println!("{}", scale::Comparison(vec![results.clone()]));
    assert_eq!(results.promoted, 12, "{results:?}");
    assert!(results.all_agree_ms.is_some(), "{results:?}");
    let (first, _, _) = results.promoted_ms.unwrap();
    assert!(first > 500, "not before down-after: {results:?}");
}

/// Ten thousand connections, noise and deaf subscribers neither stop the sentinels nor fill their
/// memory, and a dead master is replaced meanwhile.
#[tokio::test]
async fn a_storm_on_the_ports_does_not_keep_a_failover_up() {
    let state = tempfile::tempdir().unwrap();
    let wanted = 10_000;
    let connections = storm::room_for(wanted);
    if connections < wanted {
        println!("only {connections} of {wanted} connections: the limit of open files is too low");
    }
    let plan = storm::Plan {
        connections,
        noisy: 4,
        deaf: 8,
        net: "127.74.0".to_owned(),
    };
    let storm = async |number: u32| {
        let state = state.path().join(number.to_string());
        std::fs::create_dir(&state).unwrap();
        let results = storm::run(&breeds(), &plan, &state, &Talk::silent()).await;
        let results = results.unwrap();
        println!("{results}");
        results
    };
    let mut results = storm(0).await;
    // On a busy machine too few events may come in the time to fill what a subscriber does not
    // read. One of some storms has enough.
    for number in 1..3 {
        if results.cut_off == (8, 8) {
            break;
        }
        results = storm(number).await;
    }
    let (taken, refused) = results.connections;
    assert!(
        taken > connections * 9 / 10,
        "{taken} taken, {refused} refused"
    );
    assert_eq!(results.cut_off, (8, 8), "who does not read is cut off");
    assert!(results.noise > 1000, "{} messages", results.noise);
    assert!(results.memory_peak_mib.iter().all(|mib| *mib < 400.0));
    assert!(results.switch_ms.iter().all(|ms| *ms < 15_000));
}

/// Sentinels of every other version are replaced by ours one by one, on the same files, and back.
#[tokio::test]
async fn sentinels_are_replaced_one_by_one_and_back() {
    let state = tempfile::tempdir().unwrap();
    let (breeds, talk) = (breeds(), Talk::silent());
    let runs = Breed::OTHERS
        .into_iter()
        .enumerate()
        .map(|(number, other)| {
            let net = format!("127.75.{number}");
            let (breeds, talk, state) = (&breeds, &talk, state.path());
            async move { rolling::run(breeds, other, &net, state, talk).await }
        });
    for results in futures_util::future::join_all(runs).await {
        let results = results.unwrap();
        println!("{results}");
        assert_eq!(results.steps.len(), 6);
    }
}
