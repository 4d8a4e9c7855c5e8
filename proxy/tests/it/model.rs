//! A proxy over three servers behaves as one Redis.
//!
//! Random clients send random pipelines in random pieces at the same time. Each has keys of its
//! own, spread over all servers, so a model of one Redis tells every reply. The same traffic goes
//! to a direct server, which shows that the model is right.
//!
//! The seed is printed when a run fails; `CODIS_TEST_SEED=<seed>` runs it again.

mod redis;
mod traffic;

use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use codis_core::rng::SplitMix64;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};

use super::harness::{Client, Fixture, Server, settings};
use redis::{Redis, Request};
use traffic::{Form, Traffic};

const CASES: u32 = 60;

/// Makes the keys of each run of each client its own.
static RUNS: AtomicU64 = AtomicU64::new(0);

#[test]
fn a_proxy_over_three_servers_is_one_redis() {
    let direct = Server::start(&[]);
    let servers = [Server::start(&[]), Server::start(&[]), Server::start(&[])];
    let fixture = Fixture::online(settings(), &[&servers[0], &servers[1], &servers[2]]);
    let proxy = fixture.proxy().addr.to_string();
    let seed = seed();
    let config = Config {
        cases: CASES,
        failure_persistence: None,
        max_shrink_iters: 2_000,
        ..Config::default()
    };
    let mut runner = TestRunner::new_with_rng(config, generator(seed));
    let result = runner.run(&traffic::clients(), |clients| {
        run_all(&clients, &proxy, Target::Proxy)?;
        run_all(&clients, &direct.addr(), Target::Direct)
    });
    if let Err(error) = result {
        panic!("CODIS_TEST_SEED={seed}: {error}");
    }
}

/// Who is asked. A direct server runs what a proxy refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Target {
    Proxy,
    Direct,
}

fn seed() -> u64 {
    match std::env::var("CODIS_TEST_SEED") {
        Ok(text) => text.parse().expect("CODIS_TEST_SEED is a number"),
        Err(_) => SystemTime::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64,
    }
}

fn generator(seed: u64) -> TestRng {
    let mut numbers = SplitMix64::new(seed);
    let bytes: Vec<u8> = (0..4)
        .flat_map(|_| numbers.next_u64().to_le_bytes())
        .collect();
    TestRng::from_seed(RngAlgorithm::ChaCha, &bytes)
}

/// All clients at once.
fn run_all(clients: &[Traffic], addr: &str, target: Target) -> Result<(), TestCaseError> {
    std::thread::scope(|scope| {
        let running: Vec<_> = clients
            .iter()
            .map(|traffic| scope.spawn(move || run(traffic, addr, target)))
            .collect();
        for client in running {
            client.join().unwrap().map_err(TestCaseError::fail)?;
        }
        Ok(())
    })
}

fn run(traffic: &Traffic, addr: &str, target: Target) -> Result<(), String> {
    let owner = format!("run{}", RUNS.fetch_add(1, Ordering::Relaxed));
    let mut model = Redis::default();
    let mut client = Client::connect(addr);
    let mut pieces = traffic.pieces.iter().cycle().copied();
    for pipeline in &traffic.pipelines {
        let requests: Vec<&(Request, Form)> = pipeline
            .iter()
            .filter(|(request, _)| target == Target::Proxy || !matches!(request, Request::Keys))
            .collect();
        let mut bytes = Vec::new();
        for (request, form) in &requests {
            traffic::write(&mut bytes, request, *form, &owner);
        }
        let mut writer = client.stream.try_clone().unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut rest = &bytes[..];
                while !rest.is_empty() {
                    let (piece, after) = rest.split_at(pieces.next().unwrap().min(rest.len()));
                    // When it fails, the replies tell why.
                    if writer.write_all(piece).is_err() {
                        break;
                    }
                    rest = after;
                }
            });
            for (n, (request, _)) in requests.iter().enumerate() {
                let wanted = model.run(request);
                let told = client
                    .try_read()
                    .ok_or(format!("{target:?} closed at {n}"))?;
                if !wanted.is(&told) {
                    return Err(format!(
                        "{target:?}, {owner}, {n}: {request:?}: {told:?}, not {wanted:?}"
                    ));
                }
            }
            Ok(())
        })?;
    }
    Ok(())
}
