//! The benchmark, in its smallest form.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use codis_chaos::bench::{self, Contender, Plan, Programs, SHAPES, Size};
use codis_chaos::preflight;
use codis_chaos::talk::Talk;

fn plan(state: &Path) -> Plan {
    let proxy = preflight::Programs::beside_this().unwrap();
    let proxy = proxy.file("codis-proxy");
    Plan {
        programs: Programs::find(proxy.clone(), Some(proxy)).unwrap(),
        state: state.join("bench"),
        shapes: SHAPES.to_vec(),
        contenders: Contender::ALL.to_vec(),
        size: Size::Smallest,
    }
}

/// Every contender answers every shape rightly, and every figure is there.
#[tokio::test]
async fn every_shape_gives_its_figures() {
    let state = tempfile::tempdir().unwrap();
    let plan = plan(state.path());
    let results = bench::run(&plan, &Talk::silent()).await.unwrap();
    assert_eq!(
        results.shapes.len() + 1,
        SHAPES.len(),
        "and idle connections"
    );
    for shape in &results.shapes {
        let two_workers = shape.lines.iter().any(|line| line.contender == "ours-2");
        // haproxy dials a server for each client, too many of them for the ports of a host.
        let absent = usize::from(shape.name == "churn");
        let lines = if two_workers { 7 } else { 5 } - absent;
        assert_eq!(shape.lines.len(), lines, "{shape:?}");
        for line in &shape.lines {
            let direct = line.contender == "direct";
            assert_eq!(line.cpu.is_none(), direct, "{line:?}");
            assert!(line.rate.unwrap().median > 0.0, "{line:?}");
            assert!(line.p50.unwrap().median <= line.p999.unwrap().median);
            assert_eq!(line.ratios.len(), lines - 1);
        }
    }
    let names = results.idle.iter().map(|idle| idle.contender.as_str());
    assert_eq!(names.collect::<Vec<_>>(), ["ours", "baseline", "twemproxy"]);
    assert!(results.idle.iter().all(|idle| idle.connections == 300));
    for text in [results.markdown(), results.to_string()] {
        assert!(text.contains("twemproxy"), "{text}");
        assert!(!text.contains("NaN"), "{text}");
    }
    assert!(!state.path().join("bench").exists(), "the files are gone");
}

/// The tool itself, with its talk to be read.
fn drill(state: &Path, proxy: &Path) -> Child {
    Command::new(env!("CARGO_BIN_EXE_codis-drill"))
        .args(["bench", "--shape", "get-1", "--rounds", "1000", "--state"])
        .arg(state)
        .arg("--proxy")
        .arg(proxy)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// The working directories of processes below `state`: each that the tool starts has its own.
fn left_behind(state: &Path) -> Vec<PathBuf> {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let dirs = processes.filter_map(|entry| std::fs::read_link(entry.path().join("cwd")).ok());
    dirs.filter(|dir| dir.starts_with(state)).collect()
}

/// Ctrl-C in the middle of a measurement stops every process that was started.
#[test]
fn an_interrupted_run_leaves_no_process_behind() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("bench");
    let programs = preflight::Programs::beside_this().unwrap();
    let mut child = drill(&state, &programs.file("codis-proxy"));
    let mut talk = BufReader::new(child.stderr.take().unwrap()).lines();
    assert!(talk.any(|line| line.unwrap().starts_with("GET, 64 B")));
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    // Two servers; ours with one and two workers, twemproxy, haproxy.
    let deadline = Instant::now() + Duration::from_secs(30);
    while left_behind(&state).len() < 6 {
        assert!(Instant::now() < deadline, "{:?}", left_behind(&state));
        std::thread::sleep(Duration::from_millis(20));
    }
    kill_process(pid, Signal::INT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(left_behind(&state), Vec::<PathBuf>::new());
}

/// A proxy that does not come up ends the run with what is known about it.
#[test]
fn a_proxy_that_ends_at_once_fails_the_run() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("bench");
    let mut child = drill(&state, &preflight::on_path("false").unwrap());
    let mut talk = String::new();
    let stderr = child.stderr.as_mut().unwrap();
    stderr.read_to_string(&mut talk).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(2), "{talk}");
    assert!(talk.contains("codis-drill: ours: "), "{talk}");
    assert!(talk.contains("does not answer"), "{talk}");
    assert_eq!(left_behind(&state), Vec::<PathBuf>::new());
}
