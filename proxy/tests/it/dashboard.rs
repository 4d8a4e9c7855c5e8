//! Coming online through a real dashboard.
//!
//! The dashboard is the binary of its own crate, beside this test in the target directory;
//! `scripts/test` builds all binaries first.

use std::io::Write;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use codis_core::model::SlotMapping;
use codis_core::slot::SLOTS;
use codis_core::xauth;
use codis_runtime::http;

use super::harness::{Client, Server, Text, free_port, wait_for};
use super::stores::{Kind, Store};

const PRODUCT: &str = "online";

/// A process that is stopped when the test ends.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(program: &Path, dir: &Path, args: &[&str]) -> Running {
    let child = Command::new(program)
        .current_dir(dir)
        .args(args)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    Running(child.unwrap())
}

fn dashboard() -> PathBuf {
    let proxy = Path::new(env!("CARGO_BIN_EXE_codis-proxy"));
    let path = proxy.with_file_name("codis-dashboard");
    assert!(
        path.exists(),
        "{} is missing: run `cargo build -p codis-dashboard` first",
        path.display()
    );
    path
}

/// Writes the settings of a dashboard at `admin` and of two proxies at `addrs`.
fn write_settings(dir: &Path, admin: &str, addrs: &[String]) {
    let product = format!("product_name = \"{PRODUCT}\"");
    let write = |name: &str, text: String| std::fs::write(dir.join(name), text).unwrap();
    for (n, addr) in addrs.iter().enumerate() {
        let own = format!("admin_addr = \"127.0.0.1:{}\"", free_port());
        let text = format!("{product}\nproxy_addr = \"{addr}\"\n{own}");
        write(&format!("proxy{n}.toml"), text);
    }
    let text = format!("{product}\nadmin_addr = \"{admin}\"\nmigration_timeout = \"1s\"");
    write("dashboard.toml", text);
}

/// Makes a group of one server at the dashboard, and gives it all slots.
fn give_all_slots_to(server: &Server, admin: &str) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let client = http::Client::new(Duration::from_secs(1), Duration::from_secs(20));
    let put = |path: String| {
        let asked = client.put::<serde_json::Value>(admin, &path);
        runtime.block_on(asked).map_err(|error| error.to_string())
    };
    let xauth = xauth::dashboard(PRODUCT);
    wait_for("the dashboard works", || {
        put(format!("/api/topom/group/create/{xauth}/1")).is_ok()
    });
    put(format!("/api/topom/group/add/{xauth}/1/{}", server.addr())).unwrap();
    let mappings: Vec<_> = (0..SLOTS as u16)
        .map(|id| SlotMapping {
            id,
            group_id: 1,
            ..SlotMapping::default()
        })
        .collect();
    let path = format!("/api/topom/slots/assign/{xauth}");
    let assigned = client.put_json::<_, serde_json::Value>(admin, &path, &mappings);
    runtime.block_on(assigned).unwrap();
}

/// Both ways to name a dashboard lead online, also when the proxy is there first; a dashboard of
/// another product ends the proxy.
#[test]
fn a_dashboard_is_found_by_address_and_by_its_record() {
    let program = dashboard();
    let server = Server::start(&[]);
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("coordinator").display().to_string();
    let admin = format!("127.0.0.1:{}", free_port());
    let addrs: Vec<String> = (0..2)
        .map(|_| format!("127.0.0.1:{}", free_port()))
        .collect();
    write_settings(dir.path(), &admin, &addrs);
    let proxy = Path::new(env!("CARGO_BIN_EXE_codis-proxy"));
    // Of several addresses, one that nobody listens on is passed over.
    let by_address = format!("--dashboard=127.0.0.1:1,{admin}");
    let by_record = format!("--filesystem={root}");
    let _first = start(proxy, dir.path(), &["-c", "proxy0.toml", &by_address]);
    wait_for("the proxy listens", || {
        TcpStream::connect(&addrs[0]).is_ok()
    });
    let mut refused = Client::connect(&addrs[0]);
    assert_eq!(refused.read().text(), "-ERR router is not online");
    let _dashboard = start(&program, dir.path(), &["-c", "dashboard.toml", &by_record]);
    let _second = start(proxy, dir.path(), &["-c", "proxy1.toml", &by_record]);
    wait_for("the proxy listens", || {
        TcpStream::connect(&addrs[1]).is_ok()
    });

    give_all_slots_to(&server, &admin);
    for addr in &addrs {
        wait_for("the proxy serves", || {
            let mut client = Client::connect(addr);
            client.stream.write_all(b"SET k v\r\n").unwrap();
            client.try_read().is_some_and(|reply| reply.text() == "OK")
        });
    }

    let other = Command::new(proxy)
        .current_dir(dir.path())
        .args(["-c", "proxy0.toml", "--product_name=other", &by_address])
        .output()
        .unwrap();
    assert_eq!(other.status.code(), Some(1));
}

/// The same through coordinators across the network, with a password where there are users.
#[test]
fn a_dashboard_is_found_in_etcd_and_in_zookeeper() {
    for (kind, auth) in [(Kind::Etcd, ""), (Kind::ZooKeeper, "codis:s3cret")] {
        let store = Store::start(kind);
        let server = Server::start(&[]);
        let dir = tempfile::tempdir().unwrap();
        let admin = format!("127.0.0.1:{}", free_port());
        let addr = format!("127.0.0.1:{}", free_port());
        write_settings(dir.path(), &admin, std::slice::from_ref(&addr));
        let mut settings = std::fs::read_to_string(dir.path().join("dashboard.toml")).unwrap();
        settings.push_str(&format!("\ncoordinator_auth = \"{auth}\""));
        std::fs::write(dir.path().join("dashboard.toml"), settings).unwrap();
        let proxy = Path::new(env!("CARGO_BIN_EXE_codis-proxy"));
        let by_record = format!("--{}={}", store.name(), store.addr());
        let password = format!("--{}-auth={auth}", store.name());
        let mut args = vec!["-c", "proxy0.toml", &by_record];
        if !auth.is_empty() {
            args.push(&password);
        }
        // The proxy is there first and asks until the dashboard has written where it is.
        let _proxy = start(proxy, dir.path(), &args);
        wait_for("the proxy listens", || TcpStream::connect(&addr).is_ok());
        let _dashboard = start(
            &dashboard(),
            dir.path(),
            &["-c", "dashboard.toml", &by_record],
        );
        give_all_slots_to(&server, &admin);
        wait_for("the proxy serves", || {
            let mut client = Client::connect(&addr);
            client.stream.write_all(b"SET k v\r\n").unwrap();
            client.try_read().is_some_and(|reply| reply.text() == "OK")
        });
    }
}
