//! Stores across the network: the contract on real servers, and servers that die, hang or refuse.

use std::sync::Arc;
use std::time::{Duration, Instant};

use codis_bed::process::Signal;
use codis_runtime::coordinator::{self, CALL_MAX, Error, LockError, Shared, Takeover};

use crate::child::Process;
use crate::coordinator_contract::sessions::contract_of_sessions;
use crate::coordinator_contract::{Fresh, contract};
use crate::stores::{Kind, Store};
use crate::support::{PATIENCE, eventually, on_both};

const SESSION: Duration = Duration::from_secs(3);

async fn open(store: &Store, below: &str) -> Shared {
    let addr = format!("{}{below}", store.addr());
    coordinator::open_with(store.name(), &addr, "", SESSION)
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn zookeeper_keeps_the_contract() {
    let server = Arc::new(Store::start(Kind::ZooKeeper));
    let part = Arc::new(std::sync::atomic::AtomicU32::new(0));
    let fresh = || {
        let (server, part) = (server.clone(), part.clone());
        async move {
            let number = part.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            // A root that does not exist is made.
            let below = format!("/parts/{number}");
            Fresh {
                one: open(&server, &below).await,
                other: open(&server, &below).await,
                _keep: None,
            }
        }
    };
    contract(fresh).await;
    contract_of_sessions(fresh).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn etcd_keeps_the_contract() {
    let server = Arc::new(Store::start(Kind::Etcd));
    let fresh = || {
        let server = server.clone();
        async move {
            let mut raw = etcd_client::Client::connect([server.addr()], None)
                .await
                .unwrap();
            let all = etcd_client::DeleteOptions::new().with_all_keys();
            raw.delete("", Some(all)).await.unwrap();
            Fresh {
                one: open(&server, "").await,
                other: open(&server, "").await,
                _keep: None,
            }
        }
    };
    contract(fresh).await;
    contract_of_sessions(fresh).await;
}

/// A refused connection is told at once, and names who was asked.
#[tokio::test]
async fn a_server_that_is_not_there_is_told() {
    for name in ["etcd", "zookeeper"] {
        let addr = format!("{}:9,{}:10", Store::host(), Store::host());
        let store = coordinator::open(name, &addr, "").await.unwrap();
        let began = Instant::now();
        let error = store.read("/codis3/p/topom").await.unwrap_err();
        assert!(matches!(error, Error::Unreachable { .. }), "{error}");
        let told = error.to_string();
        let first = format!("{}:9", Store::host());
        for part in ["read /codis3/p/topom", name, &first, "cannot reach"] {
            assert!(told.contains(part), "{part} in {told}");
        }
        assert!(began.elapsed() < CALL_MAX, "{:?}", began.elapsed());
        let lock = store.lock("/l", b"", Takeover::Refuse).await;
        assert!(lock.is_err());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_server_that_was_killed_is_found_again() {
    on_both(is_found_again).await;
}

async fn is_found_again(kind: Kind) {
    let mut server = Store::start(kind);
    let store = open(&server, "").await;
    store.update("/d/a", b"1").await.unwrap();
    let record = store.create_ephemeral("/d/e", b"me", None).await.unwrap();
    let mut watch = store.watch("/d").await.unwrap();
    server.kill();
    let began = Instant::now();
    assert!(store.read("/d/a").await.is_err());
    assert!(store.update("/d/a", b"2").await.is_err());
    let limit = CALL_MAX * 2 + Duration::from_secs(5);
    assert!(began.elapsed() < limit, "{:?}", began.elapsed());
    server.restart();
    eventually("the store answers again", || async {
        store.read("/d/a").await.ok()
    })
    .await;
    store.update("/d/a", b"3").await.unwrap();
    let held = store.read("/d/a").await.unwrap();
    assert_eq!(held.as_deref(), Some(&b"3"[..]), "{kind:?}");
    let other = open(&server, "").await;
    other.create("/d/b", b"1").await.unwrap();
    let told = tokio::time::timeout(PATIENCE, watch.changed()).await;
    told.expect("a watch outlives a restart");
    // A session that was away for less than its time may live on; one that does not says so.
    let lost = tokio::time::timeout(SESSION * 3, record.lost()).await;
    if lost.is_ok() {
        eventually("the lost record goes", || async {
            let found = other.read("/d/e").await.unwrap();
            found.is_none().then_some(())
        })
        .await;
    } else {
        let held = other.read("/d/e").await.unwrap();
        assert_eq!(held.as_deref(), Some(&b"me"[..]), "{kind:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_server_that_hangs_costs_a_limited_time() {
    on_both(hangs_for_a_limited_time).await;
}

async fn hangs_for_a_limited_time(kind: Kind) {
    let server = Store::start(kind);
    let store = open(&server, "").await;
    let record = store.create_ephemeral("/e", b"me", None).await.unwrap();
    server.signal(Signal::STOP);
    let began = Instant::now();
    let error = store.update("/a", b"1").await.unwrap_err();
    assert!(
        matches!(error, Error::Unanswered { .. }),
        "{kind:?}: {error}"
    );
    assert!(error.to_string().contains("may or may not"), "{error}");
    assert!(store.read("/a").await.is_err());
    let limit = CALL_MAX * 2 + Duration::from_secs(5);
    assert!(began.elapsed() < limit, "{kind:?}: {:?}", began.elapsed());
    // The session is given up by its own clock, without the server's word for it.
    let lost = tokio::time::timeout(PATIENCE, record.lost()).await;
    assert!(lost.is_ok(), "{kind:?}");
    server.signal(Signal::CONT);
    eventually("the store answers again", || async {
        store.read("/a").await.ok()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn another_server_of_the_list_is_used() {
    on_both(uses_another).await;
}

async fn uses_another(kind: Kind) {
    let (server, hung) = (Store::start(kind), Store::start(kind));
    hung.signal(Signal::STOP);
    let addr = format!("{}:9,{},{}", Store::host(), hung.addr(), server.addr());
    let store = coordinator::open(server.name(), &addr, "").await.unwrap();
    eventually("the living server is found", || async {
        store.update("/a", b"1").await.ok()
    })
    .await;
    let held = store.read("/a").await.unwrap();
    assert_eq!(held.as_deref(), Some(&b"1"[..]), "{kind:?}");
}

/// A process that dies cannot say good-bye.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_a_killed_process_held_goes_with_its_session() {
    on_both(lets_go_with_the_session).await;
}

async fn lets_go_with_the_session(kind: Kind) {
    let server = Store::start(kind);
    let store = open(&server, "").await;
    let role = format!("{} {}", server.name(), server.addr());
    let mut child = Process::start("holds_a_record_and_a_lock", &role);
    child.wait_for("holding");
    let record = store.read("/jodis/p/proxy-1").await.unwrap();
    assert_eq!(record.as_deref(), Some(&b"the child"[..]));
    let held = store.lock("/l", b"me", Takeover::Allow).await.unwrap_err();
    assert!(matches!(held, LockError::Held { .. }), "{held}");
    child.kill();
    eventually("the record goes", || async {
        let found = store.read("/jodis/p/proxy-1").await.unwrap();
        found.is_none().then_some(())
    })
    .await;
    let lock = eventually("the lock is free", || async {
        store.lock("/l", b"me", Takeover::Refuse).await.ok()
    })
    .await;
    lock.release().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_records_of_a_user_of_zookeeper_are_its_own() {
    let server = Store::start(Kind::ZooKeeper);
    let open = |auth: &'static str| {
        let addr = server.addr();
        async move { coordinator::open("zk", &addr, auth).await.unwrap() }
    };
    let (own, again) = (open("codis:s3cret").await, open("codis:s3cret").await);
    own.create("/codis3/p/topom", b"1").await.unwrap();
    again.update("/codis3/p/topom", b"2").await.unwrap();
    for auth in ["", "codis:wrong"] {
        let other = open(auth).await;
        let outcomes = [
            other.read("/codis3/p/topom").await.err(),
            other.update("/codis3/p/topom", b"3").await.err(),
            other.create("/codis3/p/more", b"3").await.err(),
            other.delete("/codis3/p/topom").await.err(),
        ];
        for error in outcomes {
            let error = error.expect("it is refused");
            assert!(matches!(error, Error::Refused { .. }), "{error}");
            assert!(error.to_string().contains("not authorized"), "{error}");
        }
    }
    let below = own.create("/codis3/p/topom/x", b"").await.unwrap_err();
    assert!(matches!(below, Error::Kind { .. }), "{below}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn etcd_asks_for_the_password() {
    let mut server = Store::start(Kind::Etcd);
    let mut raw = etcd_client::Client::connect([server.addr()], None)
        .await
        .unwrap();
    raw.user_add("root", "r00t", None).await.unwrap();
    raw.role_add("root").await.unwrap();
    raw.user_grant_role("root", "root").await.unwrap();
    raw.user_add("codis", "s3cret", None).await.unwrap();
    raw.role_add("codis").await.unwrap();
    // What docs/coordinators.md says.
    for prefix in ["/codis3", "/jodis"] {
        let all = etcd_client::Permission::read_write(prefix).with_prefix();
        raw.role_grant_permission("codis", all).await.unwrap();
    }
    raw.user_grant_role("codis", "codis").await.unwrap();
    raw.auth_enable().await.unwrap();
    let open = |auth: &'static str| {
        let addr = server.addr();
        async move { coordinator::open("etcd", &addr, auth).await.unwrap() }
    };
    let own = open("codis:s3cret").await;
    own.create("/codis3/p/topom", b"1").await.unwrap();
    let record = own
        .create_ephemeral("/jodis/p/x", b"1", None)
        .await
        .unwrap();
    record.remove().await.unwrap();
    let lock = own.lock("/codis3/p/l", b"1", Takeover::Refuse).await;
    lock.unwrap().release().await.unwrap();
    let elsewhere = own.read("/elsewhere").await.unwrap_err();
    assert!(matches!(elsewhere, Error::Refused { .. }), "{elsewhere:?}");
    for auth in ["", "codis:wrong"] {
        let other = open(auth).await;
        let error = other.read("/codis3/p/topom").await.unwrap_err();
        assert!(matches!(error, Error::Refused { .. }), "{auth}: {error:?}");
    }
    // A restart forgets who has logged in.
    server.restart();
    eventually("it logs in again", || async {
        own.update("/codis3/p/topom", b"2").await.ok()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn etcd_is_asked_over_tls() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str| dir.path().join(name).display().to_string();
    let ca = Authority::new("codis test");
    std::fs::write(file("ca.pem"), ca.pem()).unwrap();
    for name in ["server", "client"] {
        let (cert, key) = ca.issue(&Store::host());
        std::fs::write(file(&format!("{name}.pem")), cert).unwrap();
        std::fs::write(file(&format!("{name}.key")), key).unwrap();
    }
    let args = [
        format!("--cert-file={}", file("server.pem")),
        format!("--key-file={}", file("server.key")),
        format!("--trusted-ca-file={}", file("ca.pem")),
        "--client-cert-auth".to_owned(),
    ];
    let server = Store::start_with(Kind::Etcd, "https", &args);
    let identity = format!("cert={}&key={}", file("client.pem"), file("client.key"));
    let trusted = format!("https://{}?ca={}&{identity}", server.addr(), file("ca.pem"));
    let store = coordinator::open("etcd", &trusted, "").await.unwrap();
    let read = eventually("a server behind TLS answers", || async {
        store.update("/a", b"1").await.ok()?;
        store.read("/a").await.ok()
    })
    .await;
    assert_eq!(read.as_deref(), Some(&b"1"[..]));
    // Nobody vouches for the server, we show no certificate, or no TLS at all.
    for addr in [
        format!("https://{}?{identity}", server.addr()),
        format!("https://{}?ca={}", server.addr(), file("ca.pem")),
        server.addr(),
    ] {
        let store = coordinator::open("etcd", &addr, "").await.unwrap();
        let error = store.read("/a").await.unwrap_err();
        assert!(
            matches!(error, Error::Unreachable { .. }),
            "{addr}: {error}"
        );
    }
}

/// Signs certificates for addresses.
struct Authority {
    cert: rcgen::Certificate,
    issuer: rcgen::Issuer<'static, rcgen::KeyPair>,
}

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = rcgen::CertificateParams::new([name.to_owned()]).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = rcgen::KeyPair::generate().unwrap();
        let cert = params.self_signed(&key).unwrap();
        Self {
            cert,
            issuer: rcgen::Issuer::new(params, key),
        }
    }

    fn pem(&self) -> String {
        self.cert.pem()
    }

    /// A certificate and its key.
    fn issue(&self, host: &str) -> (String, String) {
        let params = rcgen::CertificateParams::new([host.to_owned()]).unwrap();
        let key = rcgen::KeyPair::generate().unwrap();
        let cert = params.signed_by(&key, &self.issuer).unwrap();
        (cert.pem(), key.serialize_pem())
    }
}
