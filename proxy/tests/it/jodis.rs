//! Clients find proxies by their records in real coordinators.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use codis_bed::process::Signal;
use codis_core::model::Proxy as Model;
use codis_runtime::coordinator::{self, Shared};
use codis_runtime::http;

use super::harness::free_port;
use super::stores::{Kind, Store};

/// How long anything may take: sessions of some seconds end meanwhile, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// After this long a session of 3 s that nobody keeps is over.
const OVER: Duration = Duration::from_secs(4);

/// A proxy of its own process that registers.
struct Proxy {
    child: Option<Child>,
    admin: String,
    dir: tempfile::TempDir,
}

impl Proxy {
    /// Starts a proxy that goes online without a dashboard and without an owner of any slot.
    fn start(jodis: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let admin = format!("127.0.0.1:{}", free_port());
        let own = format!(
            "product_name = \"t\"\nproxy_addr = \"127.0.0.1:{}\"\nadmin_addr = \"{admin}\"\n",
            free_port()
        );
        std::fs::write(dir.path().join("proxy.toml"), own + jodis).unwrap();
        std::fs::write(dir.path().join("slots.json"), "[]").unwrap();
        let mut proxy = Self {
            child: None,
            admin,
            dir,
        };
        proxy.run();
        proxy
    }

    fn run(&mut self) {
        self.run_with(&["--fillslots=slots.json"]);
    }

    fn run_with(&mut self, args: &[&str]) {
        let child = Command::new(env!("CARGO_BIN_EXE_codis-proxy"))
            .current_dir(self.dir.path())
            .args(["-c", "proxy.toml", "--ncpu=1"])
            .args(args)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        self.child = Some(child.unwrap());
    }

    fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Stops it in order; gives how long that took.
    fn stop(&mut self) -> Duration {
        let mut child = self.child.take().unwrap();
        let began = Instant::now();
        let pid = child.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &pid]).status();
        assert!(sent.unwrap().success());
        assert!(child.wait().unwrap().success());
        began.elapsed()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.kill();
    }
}

/// What clients look at, and the proxy's own idea of it.
struct Look {
    runtime: tokio::runtime::Runtime,
    store: Shared,
}

impl Look {
    fn at(store: &Store, auth: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let store = runtime.block_on(coordinator::open(store.name(), &store.addr(), auth));
        let store = store.unwrap();
        Self { runtime, store }
    }

    /// The record, if there is one and the store answers.
    fn record(&self, path: &str) -> Option<String> {
        let read = self.runtime.block_on(self.store.read(path)).ok()??;
        Some(String::from_utf8(read).unwrap())
    }

    fn is_missing(&self, path: &str) -> bool {
        matches!(self.runtime.block_on(self.store.read(path)), Ok(None))
    }

    /// Who the proxy says it is, once it answers.
    fn model(&self, proxy: &Proxy) -> Model {
        let client = http::Client::new(Duration::from_secs(1), Duration::from_secs(5));
        let ask = || client.get::<Model>(&proxy.admin, "/proxy/model");
        wait(|| self.runtime.block_on(ask()).ok())
    }

    /// The record of a proxy, once it is there, checked to the letter.
    fn registered(&self, proxy: &Proxy) -> (String, String) {
        let model = self.model(proxy);
        let path = model.jodis_path.clone();
        let wanted = format!(
            "{{\n    \"addr\": \"{}\",\n    \"admin\": \"{}\",\n    \"start\": \"{}\",\n    \
             \"state\": \"online\",\n    \"token\": \"{}\"\n}}",
            model.proxy_addr, model.admin_addr, model.start_time, model.token
        );
        wait(|| self.record(&path).filter(|record| *record == wanted));
        (path, model.token)
    }
}

/// Waits for a value.
fn wait<T>(mut value: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = value() {
            return value;
        }
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn settings(store: &Store, timeout: &str) -> String {
    format!(
        "jodis_name = \"{}\"\njodis_addr = \"{}\"\njodis_timeout = \"{timeout}\"\n",
        store.name(),
        store.addr()
    )
}

/// From going online to every kind of end.
fn a_record_lives_as_long_as_its_proxy(kind: Kind) {
    let mut store = Store::start(kind);
    let look = Look::at(&store, "");
    let mut proxy = Proxy::start(&settings(&store, "3s"));
    let (path, token) = look.registered(&proxy);
    assert_eq!(path, format!("/jodis/t/proxy-{token}"));

    // Somebody deletes it, or spoils it.
    look.runtime.block_on(look.store.delete(&path)).unwrap();
    look.registered(&proxy);
    let spoil = look.store.update(&path, b"spoiled");
    look.runtime.block_on(spoil).unwrap();
    look.registered(&proxy);

    // The coordinator is away for longer than the session.
    store.kill();
    std::thread::sleep(OVER);
    store.restart();
    look.registered(&proxy);
    // It is of a session that lives, not a leftover that is about to go.
    std::thread::sleep(OVER);
    look.registered(&proxy);

    // The proxy dies and comes back at once: it does not wait for its leftover.
    proxy.kill();
    assert!(!look.is_missing(&path));
    proxy.run();
    look.registered(&proxy);
    std::thread::sleep(OVER);
    look.registered(&proxy);

    proxy.stop();
    assert!(look.is_missing(&path), "gone before the process is");

    // It dies for good.
    proxy.run();
    look.registered(&proxy);
    proxy.kill();
    wait(|| look.is_missing(&path).then_some(()));
}

#[test]
fn a_record_in_etcd_lives_as_long_as_its_proxy() {
    a_record_lives_as_long_as_its_proxy(Kind::Etcd);
}

#[test]
fn a_record_in_zookeeper_lives_as_long_as_its_proxy() {
    a_record_lives_as_long_as_its_proxy(Kind::ZooKeeper);
}

/// The path of old clients, and a user.
#[test]
fn old_clients_and_passwords_are_served() {
    let store = Store::start(Kind::ZooKeeper);
    let compatible = "jodis_compatible = true\njodis_auth = \"codis:s3cret\"\n";
    let mut proxy = Proxy::start(&(settings(&store, "3s") + compatible));
    let look = Look::at(&store, "codis:s3cret");
    let (path, token) = look.registered(&proxy);
    assert_eq!(path, format!("/zk/codis/db_t/proxy/{token}"));
    let stranger = Look::at(&store, "");
    let refused = stranger.runtime.block_on(stranger.store.read(&path));
    assert!(refused.is_err(), "{refused:?}");
    proxy.stop();
    assert!(look.is_missing(&path));
}

/// The record changes hands with the sockets, and the predecessor does not take it along.
#[test]
fn a_successor_has_the_record() {
    for kind in [Kind::Etcd, Kind::ZooKeeper] {
        let store = Store::start(kind);
        let look = Look::at(&store, "");
        let handover = "proxy_handover = \"handover.sock\"\n";
        let mut first = Proxy::start(&(settings(&store, "3s") + handover));
        let (path, _) = look.registered(&first);
        let old = look.record(&path).unwrap();
        let mut predecessor = first.child.take().unwrap();
        first.run_with(&["--takeover"]);
        wait(|| predecessor.try_wait().unwrap());
        look.registered(&first);
        assert_ne!(look.record(&path).unwrap(), old);
        std::thread::sleep(OVER);
        look.registered(&first);
        first.stop();
        assert!(look.is_missing(&path), "{kind:?}");
    }
}

/// A coordinator that hangs or is not there delays neither clients nor the end.
#[test]
fn a_proxy_serves_and_stops_without_its_coordinator() {
    let store = Store::start(Kind::Etcd);
    store.signal(Signal::STOP);
    let dead = format!(
        "jodis_name = \"zk\"\njodis_addr = \"{}:9\"\n",
        Store::host()
    );
    let look = Look::at(&store, "");
    for jodis in [settings(&store, "3s"), dead] {
        let mut proxy = Proxy::start(&jodis);
        let model = look.model(&proxy);
        wait(|| {
            let mut client = super::harness::Client::connect(&model.proxy_addr);
            client.send(&["AUTH", "x"]);
            let told = super::harness::Text::text(&client.try_read()?);
            told.contains("no password").then_some(())
        });
        let took = proxy.stop();
        assert!(took < Duration::from_secs(15), "{took:?}");
    }
}

#[test]
fn what_cannot_register_is_refused_at_the_start() {
    let dir = tempfile::tempdir().unwrap();
    for (jodis, part) in [
        (
            "jodis_name = \"fs\"\njodis_addr = \"/x\"",
            "use zookeeper or etcd",
        ),
        ("jodis_addr = \"h:1\"", "expected zookeeper or etcd"),
        ("jodis_name = \"etcd\"", "jodis_addr"),
        (
            "jodis_name = \"zk\"\njodis_addr = \"h:x\"",
            "invalid address",
        ),
        (
            "jodis_name = \"zk\"\njodis_addr = \"h:1\"\njodis_auth = \"me\"",
            "invalid auth",
        ),
    ] {
        let own = "proxy_addr = \"127.0.0.1:0\"\nadmin_addr = \"127.0.0.1:0\"\n";
        std::fs::write(dir.path().join("proxy.toml"), format!("{own}{jodis}")).unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_codis-proxy"))
            .current_dir(dir.path())
            .args(["-c", "proxy.toml", "--ncpu=1"])
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1), "{jodis}");
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(told.contains(part), "{jodis}: {told}");
    }
}
