//! Client libraries as their users install them: `scripts/clients` fetches them.
//!
//! Each script in `clients/` leaves its library at its default protocol, which is RESP3. It
//! connects with and without a password, with a name, in another database; runs commands and
//! pipelines of thousands; and reconnects after its connection was lost and after the proxy was
//! restarted, which it asks this test for.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use codis_proxy::settings::Settings;

use super::harness::{Fixture, Server, free_port, settings};

/// A file of the repository.
fn file(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Where `scripts/clients` puts the libraries.
fn libraries() -> PathBuf {
    let libraries = file("../target/clients");
    assert!(
        libraries.join("ready").exists(),
        "run scripts/clients first: it fetches the client libraries"
    );
    libraries.canonicalize().unwrap()
}

/// Runs a script to its end.
fn run(script: &str, password: &str) {
    let server = Server::start(&[]);
    let settings = Settings {
        proxy_addr: format!("127.0.0.1:{}", free_port()),
        session_auth: password.to_owned(),
        ..settings()
    };
    let mut fixture = Some(Fixture::online(settings.clone(), &[&server]));
    let libraries = libraries();
    let program = if script.ends_with(".py") {
        "python3"
    } else {
        "node"
    };
    let mut child = Command::new(program)
        .arg(file("tests/it/clients").join(script))
        .env("PROXY", &settings.proxy_addr)
        .env("PASSWORD", password)
        .env("PYTHONPATH", libraries.join("python"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("MODULES", libraries.join("node/package.json"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 and node must be installed (scripts/setup)");
    let mut orders = child.stdin.take().unwrap();
    let mut finished = false;
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        if line == "RESTART" {
            fixture.take();
            fixture = Some(Fixture::online(settings.clone(), &[&server]));
            writeln!(orders, "done").unwrap();
        }
        finished |= line.starts_with("finished with ");
    }
    let status = child.wait().unwrap();
    assert!(status.success() && finished, "{script}: {status}");
}

/// It asks for RESP3 unless told otherwise.
#[test]
fn redis_py_works() {
    for password in ["", "secret"] {
        run("redis_py.py", password);
    }
}

/// It asks for RESP3 unless told otherwise.
#[test]
fn node_redis_works() {
    for password in ["", "secret"] {
        run("node_redis.mjs", password);
    }
}

/// It asks for RESP3 unless told otherwise.
#[test]
fn ioredis_works() {
    for password in ["", "secret"] {
        run("ioredis.mjs", password);
    }
}
