//! Peers that hang, lie or repeat themselves, which the real ones do not on demand.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Json;
use axum::Router;
use axum::routing::{get, put};
use codis_core::api::Slot;
use codis_core::epoch::Epoch;
use codis_core::ha::TERM_HEADER;
use codis_core::model::Proxy;
use codis_core::resp::{Limits, Value};
use codis_core::topology::{self, Topology};
use codis_runtime::http::{self, ok};
use codis_runtime::shutdown::Shutdown;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::bed::PRODUCT;

/// A proxy that takes slots unless it is told to hang.
#[derive(Clone)]
pub struct ProxyDouble {
    pub addr: String,
    pub token: String,
    hangs: Arc<AtomicBool>,
    online: Arc<AtomicBool>,
    ended: Arc<AtomicBool>,
    slots: Arc<Mutex<BTreeMap<u16, Slot>>>,
    /// The term of each call, and whether it was a change.
    terms: Arc<Mutex<Vec<(u64, bool)>>>,
}

impl ProxyDouble {
    pub async fn start(token: &str) -> Self {
        let listener = http::bind("127.0.0.1:0").await.unwrap();
        let double = Self {
            addr: listener.local_addr().unwrap().to_string(),
            token: token.to_owned(),
            hangs: Arc::default(),
            online: Arc::default(),
            ended: Arc::default(),
            slots: Arc::default(),
            terms: Arc::default(),
        };
        tokio::spawn(http::serve(listener, double.routes(), Shutdown::new()));
        double
    }

    /// Makes every call hang, as a stopped process does, or ends that.
    pub fn hang(&self, hangs: bool) {
        self.hangs.store(hangs, Ordering::SeqCst);
    }

    /// Forgets everything, as a restart does.
    pub fn forget(&self) {
        self.slots.lock().unwrap().clear();
        self.online.store(false, Ordering::SeqCst);
        self.ended.store(false, Ordering::SeqCst);
    }

    /// Whether it was told to end; it only remembers.
    pub fn was_ended(&self) -> bool {
        self.ended.load(Ordering::SeqCst)
    }

    /// The term of each call so far in order, and whether it was a change; 0 when it said none.
    pub fn terms(&self) -> Vec<(u64, bool)> {
        self.terms.lock().unwrap().clone()
    }

    /// Whether a dashboard started it.
    pub fn started(&self) -> bool {
        self.online.load(Ordering::SeqCst)
    }

    pub fn slot(&self, id: u16) -> Option<Slot> {
        self.slots.lock().unwrap().get(&id).cloned()
    }

    fn routes(&self) -> Router {
        let (model, looked, filled) = (self.clone(), self.clone(), self.clone());
        let (polled, started) = (self.clone(), self.clone());
        let (hangs, ended) = (self.clone(), self.clone());
        Router::new()
            .route(
                "/api/proxy/model",
                get(async move || http::json(&model.model())),
            )
            .route("/api/proxy/xping/{xauth}", get(async || ok()))
            .route(
                "/api/proxy/stats/{xauth}/{flags}",
                get(async move || http::json(&serde_json::json!({ "online": polled.started() }))),
            )
            .route(
                "/api/proxy/slots/{xauth}",
                get(async move || {
                    let slots = looked.slots.lock().unwrap();
                    http::json(&slots.values().cloned().collect::<Vec<_>>())
                }),
            )
            .route(
                "/api/proxy/fillslots/{xauth}",
                put(async move |Json(slots): Json<Vec<Slot>>| {
                    filled
                        .slots
                        .lock()
                        .unwrap()
                        .extend(slots.into_iter().map(|slot| (slot.id, slot)));
                    ok()
                }),
            )
            .route(
                "/api/proxy/start/{xauth}",
                put(async move || {
                    started.online.store(true, Ordering::SeqCst);
                    ok()
                }),
            )
            .route(
                "/api/proxy/shutdown/{xauth}",
                put(async move || {
                    ended.ended.store(true, Ordering::SeqCst);
                    ok()
                }),
            )
            .route("/api/proxy/sentinels/{xauth}", put(async || ok()))
            .layer(axum::middleware::from_fn(
                move |request: axum::extract::Request, next: axum::middleware::Next| {
                    let hangs = hangs.clone();
                    async move {
                        let told = request.headers().get(TERM_HEADER);
                        let told = told.and_then(|told| told.to_str().ok()?.parse().ok());
                        let is_change = request.method() == axum::http::Method::PUT;
                        let call = (told.unwrap_or(0), is_change);
                        hangs.terms.lock().unwrap().push(call);
                        while hangs.hangs.load(Ordering::SeqCst) {
                            tokio::time::sleep(Duration::from_millis(10)).await;
                        }
                        next.run(request).await
                    }
                },
            ))
    }

    fn model(&self) -> Proxy {
        Proxy {
            token: self.token.clone(),
            admin_addr: self.addr.clone(),
            product_name: PRODUCT.to_owned(),
            start_time: "now".to_owned(),
            ..Proxy::default()
        }
    }
}

/// A sentinel that says what the test says: with `SENTINEL TOPOLOGY`, and on `+topology` at once.
#[derive(Clone)]
pub struct SentinelDouble {
    pub addr: String,
    said: Arc<watch::Sender<Option<String>>>,
}

impl SentinelDouble {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap().to_string();
        let double = Self {
            addr,
            said: Arc::new(watch::Sender::new(None)),
        };
        let served = double.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(served.clone().serve(stream));
            }
        });
        double
    }

    /// Says that `master` leads `group` at `epoch`.
    pub fn say(&self, group: u32, epoch: u64, master: &str) {
        let record = Topology {
            name: format!("{PRODUCT}-{group}"),
            epoch: Epoch(epoch),
            master: master.parse().unwrap(),
            run_id: String::new(),
            flags: vec!["master".to_owned()],
            replicas: Vec::new(),
            failover_state: "none".to_owned(),
            fence_epoch: Epoch::ZERO,
            sentinel: "double".to_owned(),
            refused: Vec::new(),
        };
        self.said
            .send_replace(Some(serde_json::to_string(&record).unwrap()));
    }

    async fn serve(self, mut stream: TcpStream) {
        let (mut said, mut subscribed) = (self.said.subscribe(), false);
        let mut buffer = Vec::new();
        loop {
            tokio::select! {
                read = stream.read_buf(&mut buffer) => {
                    if !matches!(read, Ok(1..)) {
                        return;
                    }
                    while let Some((request, len)) = parse(&buffer) {
                        buffer.drain(..len);
                        let words = request.as_array().unwrap().iter();
                        let words: Vec<&str> = words.filter_map(Value::as_str).collect();
                        subscribed |= words[0].eq_ignore_ascii_case("subscribe");
                        let reply = self.reply(&words);
                        if stream.write_all(reply.as_bytes()).await.is_err() {
                            return;
                        }
                    }
                }
                Ok(()) = said.changed(), if subscribed => {
                    let record = said.borrow_and_update().clone().unwrap_or_default();
                    let text = array(&["message", topology::CHANNEL, &record]);
                    if stream.write_all(text.as_bytes()).await.is_err() {
                        return;
                    }
                }
            }
        }
    }

    fn reply(&self, words: &[&str]) -> String {
        let upper: Vec<String> = words.iter().map(|word| word.to_ascii_uppercase()).collect();
        let upper: Vec<&str> = upper.iter().map(String::as_str).collect();
        match upper.as_slice() {
            ["SUBSCRIBE", ..] => {
                let one = |(n, channel): (usize, &&str)| {
                    format!("*3\r\n{}{}:{}\r\n", bulk("subscribe"), bulk(channel), n + 1)
                };
                words[1..].iter().enumerate().map(one).collect()
            }
            ["SENTINEL", "TOPOLOGY", ..] => {
                let record = self.said.borrow().clone();
                array(&record.iter().map(String::as_str).collect::<Vec<_>>())
            }
            ["SENTINEL", "MASTERS"] => "*0\r\n".to_owned(),
            ["INFO", ..] => bulk("redis_mode:sentinel\r\n"),
            _ => "+OK\r\n".to_owned(),
        }
    }
}

fn parse(buffer: &[u8]) -> Option<(Value, usize)> {
    Value::parse(buffer, &Limits::default()).unwrap()
}

fn bulk(text: &str) -> String {
    format!("${}\r\n{text}\r\n", text.len())
}

fn array(items: &[&str]) -> String {
    let texts: String = items.iter().map(|item| bulk(item)).collect();
    format!("*{}\r\n{texts}", items.len())
}
