//! The fuzz targets over mutations of their seeds, the same ones in every run.

use std::path::Path;

use codis_core::rng::SplitMix64;
use codis_proxy::fuzzing;

use super::garbage::damage;

const ROUNDS: u32 = 15_000;

#[test]
fn mutated_requests_hold_what_must_hold() {
    run("client_bytes", fuzzing::client_bytes);
}

#[test]
fn mutated_replies_hold_what_must_hold() {
    run("backend_bytes", fuzzing::backend_bytes);
}

fn run(target: &str, check: fn(&[u8])) {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/seeds")
        .join(target);
    let files = std::fs::read_dir(dir).unwrap().flatten();
    let mut seeds: Vec<Vec<u8>> = files
        .map(|file| std::fs::read(file.path()).unwrap())
        .collect();
    assert!(seeds.len() >= 4, "only {} seeds", seeds.len());
    // Directories have no order of their own.
    seeds.sort();
    for seed in &seeds {
        check(seed);
    }
    let mut rng = SplitMix64::new(4);
    for round in 0..ROUNDS {
        let mut input = rng.pick(&seeds).unwrap().clone();
        for _ in 0..=rng.below(6) {
            damage(&mut input, &mut rng);
        }
        let checked = std::panic::catch_unwind(|| check(&input));
        assert!(checked.is_ok(), "round {round}: {}", input.escape_ascii());
    }
}
