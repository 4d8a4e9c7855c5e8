//! What a host says about itself, and the small things around a process.

use std::process::Command;

use codis_runtime::metrics::Metrics;
use codis_runtime::{build, host, pidfile::PidFile, process::Sample};
use prometheus_client::metrics::counter::Counter;

#[test]
fn sys_is_what_uname_prints() {
    let uname = Command::new("uname").arg("-a").output().unwrap();
    assert_eq!(host::sys(), String::from_utf8(uname.stdout).unwrap().trim());
    let name = Command::new("uname").arg("-n").output().unwrap();
    assert_eq!(
        host::hostname(),
        String::from_utf8(name.stdout).unwrap().trim()
    );
}

#[test]
fn hardware_addresses_are_sorted_and_none_is_zero() {
    let macs = host::macs();
    assert!(macs.is_sorted());
    for mac in macs {
        assert!(
            mac.len() >= 17 && mac.bytes().any(|b| !matches!(b, b'0' | b':')),
            "{mac}"
        );
    }
}

#[test]
fn times_have_the_form_of_codis() {
    let start = host::start_time_text();
    assert_eq!(start, host::start_time_text(), "it is taken once");
    let parts: Vec<&str> = start.split(' ').collect();
    let [date, time, "+0000", "UTC", elapsed] = parts.as_slice() else {
        panic!("{start}");
    };
    assert_eq!((date.len(), time.len()), (10, 18), "{start}");
    assert!(
        elapsed.starts_with("m=+0.") && elapsed.len() == 14,
        "{start}"
    );
    let now = host::now_rfc3339();
    assert_eq!(
        (now.len(), &now[10..11], &now[23..]),
        (24, "T", "Z"),
        "{now}"
    );
}

#[test]
fn a_wildcard_address_leads_somewhere_or_is_refused() {
    match host::advertise("0.0.0.0:18080".parse().unwrap(), None) {
        Ok(addr) => assert!(
            addr.ends_with(":18080") && !addr.starts_with("0.0.0.0"),
            "{addr}"
        ),
        Err(error) => assert!(error.to_string().contains("--host-admin"), "{error}"),
    }
}

#[test]
fn a_sample_shows_the_cpu_that_was_burnt() {
    let before = Sample::take().unwrap();
    let mut noise = 1_u64;
    while Sample::take().unwrap().busy() <= before.busy() {
        noise = noise.wrapping_mul(6_364_136_223_846_793_005).rotate_left(7);
    }
    let after = Sample::take().unwrap();
    assert!(after.cores_since(&before) > 0.0, "{noise}");
    assert!(after.raw.vm_rss > 100_000 && after.raw.num_threads >= 1);
    assert_eq!(before.cores_since(&after), 0.0, "never negative");
}

#[test]
fn metrics_carry_the_name_of_the_daemon() {
    let metrics = Metrics::new("proxy");
    let sessions = Counter::<u64>::default();
    metrics.register(|registry| registry.register("sessions", "Sessions", sessions.clone()));
    sessions.inc();
    let text = metrics.encode().unwrap();
    for line in [
        "codis_proxy_sessions_total 1",
        "codis_proxy_build_info{version=\"",
        "codis_proxy_process_resident_memory_bytes ",
        "codis_proxy_process_cpu_seconds_total ",
        "codis_proxy_process_open_files ",
    ] {
        assert!(text.contains(line), "{line} is missing in\n{text}");
    }
    assert!(text.ends_with("# EOF\n"));
}

#[test]
fn the_version_is_two_lines() {
    let text = build::text();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 2, "{text}");
    assert!(
        lines[0].starts_with("version: ") && lines[1].starts_with("compile: rustc"),
        "{text}"
    );
}

#[test]
fn a_pid_file_goes_with_its_owner_only() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("codis.pid");
    let file = PidFile::write(&path).unwrap();
    assert_eq!(
        std::fs::read_to_string(&path).unwrap(),
        std::process::id().to_string()
    );
    drop(file);
    assert!(!path.exists());
    let file = PidFile::write(&path).unwrap();
    std::fs::write(&path, "1").unwrap();
    drop(file);
    assert!(path.exists(), "the file of a successor stays");
    assert!(PidFile::write(dir.path().join("no/such/dir")).is_err());
}
