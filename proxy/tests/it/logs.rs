//! Log files and their level while the process runs.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use codis_core::xauth;

use super::harness::{free_port, wait_for};
use super::http::ask;

/// The process, killed when the test ends.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The name of the one log file, and its text.
fn log(dir: &Path) -> (String, String) {
    let files = std::fs::read_dir(dir).into_iter().flatten();
    let mut names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    let Some(name) = names.next() else {
        return Default::default();
    };
    assert_eq!(names.next(), None, "one file");
    let text = std::fs::read_to_string(dir.join(&name)).unwrap();
    (name, text)
}

/// A file of today, lines with time, level and place; the level can be changed, and the secret of
/// the calls that do it is not in there.
#[test]
fn the_log_is_a_daily_file_whose_level_can_be_changed() {
    let dir = tempfile::tempdir().unwrap();
    let (admin, proxy) = (free_port(), free_port());
    let config = format!(
        "product_name = \"t\"\nproxy_addr = \"127.0.0.1:{proxy}\"\n\
         admin_addr = \"127.0.0.1:{admin}\"\n"
    );
    std::fs::write(dir.path().join("proxy.toml"), config).unwrap();
    let child = Command::new(env!("CARGO_BIN_EXE_codis-proxy"))
        .current_dir(dir.path())
        .args(["-c", "proxy.toml", "-l", "logs/p.log", "--ncpu=1"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let _running = Running(child);
    let admin = format!("127.0.0.1:{admin}");
    wait_for("the admin API answers", || {
        std::net::TcpStream::connect(&admin).is_ok()
    });
    let model = ask(&admin, "GET", "/proxy/model", "", b"").json();
    let secret = xauth::proxy("t", "", model["token"].as_str().unwrap());
    let put = |what: &str| {
        let path = format!("/api/proxy/{}", what.replace('X', &secret));
        assert_eq!(
            ask(&admin, "PUT", &path, "", b"").text(),
            "\"OK\"",
            "{what}"
        );
    };
    let logs = dir.path().join("logs");
    let seen = |text: &str| wait_for(text, || log(&logs).1.contains(text));

    put("forcegc/X");
    seen("path=\"/api/proxy/forcegc/***\"");
    put("loglevel/X/error");
    put("stats/reset/X");
    put("loglevel/X/Debug");
    seen("log level changed level=DEBUG");
    let (name, text) = log(&logs);
    assert!(!text.contains("stats/reset"), "not at level error: {text}");
    assert!(!text.contains(&secret), "{text}");
    let date = name.strip_prefix("p.log.").unwrap();
    let digits = date.bytes().filter(u8::is_ascii_digit).count();
    assert_eq!((date.len(), digits), (10, 8), "{name}");
    for line in text.lines() {
        let (time, rest) = line.split_once(" [").unwrap();
        assert!(time.len() == 24 && time.ends_with('Z'), "{line}");
        let (level, rest) = rest.split_once("] ").unwrap();
        assert!(
            ["INFO", "WARN", "DEBUG", "ERROR"].contains(&level),
            "{line}"
        );
        assert!(rest.contains(": "), "{line}");
    }
}
