//! Stopped proxies and servers that answer nothing: who waits for them, and what a proxy does that
//! goes on.

use std::time::{Duration, Instant};

use codis_core::slot::SlotId;
use rustix::process::Signal;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::bed::{Answer, Bed, Dashboard, Process, Redis, figure, is_late, once_within, until};

/// What every call is allowed that is not about what hangs.
const CALL_MAX: Duration = Duration::from_secs(1);

/// Two groups of one server, all slots at the first, and two proxies that serve.
struct World {
    board: Dashboard,
    servers: Vec<Redis>,
    good: Proxy,
    bad: Proxy,
}

struct Proxy {
    process: Process,
    admin: String,
    data: String,
}

impl Proxy {
    async fn start(bed: &Bed, board: &Dashboard) -> Self {
        let (process, admin, data) = bed.proxy().await;
        board.put(&format!("proxy/create/X/{admin}")).await;
        Self {
            process,
            admin,
            data,
        }
    }

    async fn client(&self) -> TcpStream {
        TcpStream::connect(&self.data).await.unwrap()
    }

    /// Whether a request to the server has no answer yet.
    async fn waits_for(&self, server: &Redis) -> bool {
        let answer = crate::bed::call(&self.admin, "GET", "/metrics", "").await;
        let metrics = answer.unwrap().body;
        let mut lines = metrics.lines();
        lines.any(|line| {
            line.starts_with("codis_proxy_backend_in_flight_requests")
                && line.contains(&server.addr)
                && !line.ends_with(" 0")
        })
    }

    async fn figures(&self) -> codis_core::api::ProxyStats {
        let answer = crate::bed::call(&self.admin, "GET", "/proxy/stats", "").await;
        codis_core::json::decode(answer.unwrap().body.as_bytes()).unwrap()
    }
}

impl World {
    async fn new(bed: &Bed) -> Self {
        let board = bed.dashboard().await;
        let mut servers = Vec::new();
        for group in 1..=2 {
            let server = bed.redis().await;
            board.fill_group(group, std::slice::from_ref(&server)).await;
            servers.push(server);
        }
        board.give(0..=1023, 1).await;
        let good = Proxy::start(bed, &board).await;
        let bad = Proxy::start(bed, &board).await;
        Self {
            board,
            servers,
            good,
            bad,
        }
    }

    /// Moves a slot; gives the answer and how long it took.
    async fn assign(&self, slot: u16, group: u32) -> (Answer, Duration) {
        let begun = Instant::now();
        let answer = self.board.assign(slot..=slot, group).await;
        (answer, begun.elapsed())
    }

    /// Moves a slot to and fro until the stopped proxy is not waited for any more. No call waits
    /// for longer than it may, but a busy machine may be slow with some of them. Gives how long it
    /// took until one was carried out.
    async fn until_nobody_waits(&self, slot: u16) -> Duration {
        let begun = Instant::now();
        let (mut group, mut known) = (1, None);
        once_within(CALL_MAX, "no call waits", async || {
            let mut least = Duration::MAX;
            until("the stopped proxy is not waited for", async || {
                group = 3 - group;
                let (answer, took) = self.assign(slot, group).await;
                least = took.min(least);
                answer.status == 200
            })
            .await;
            known.get_or_insert(begun.elapsed());
            least
        })
        .await;
        known.unwrap()
    }

    /// Stops a proxy. Right after that an edit is refused, and soon: it may still serve. On a busy
    /// machine one of some tries shows that.
    async fn stop_bad(&self, slot: u16) {
        let mut seen = Vec::new();
        for _ in 0..8 {
            self.bad.process.signal(Signal::STOP);
            let (answer, took) = self.assign(slot, 2).await;
            if answer.status == 800 {
                let cause = answer.cause();
                assert!(cause.ends_with("resync slots failed"), "{cause}");
                if took < CALL_MAX {
                    return;
                }
            }
            seen.push((answer.status, took));
            self.bad.process.signal(Signal::CONT);
            self.board.give(slot..=slot, 1).await;
        }
        panic!("it is waited for, or not asked: {seen:?}");
    }
}

async fn say(client: &mut TcpStream, words: &[&str]) {
    let mut request = Vec::new();
    codis_core::resp::encode_command(&mut request, words);
    client.write_all(&request).await.unwrap();
}

async fn hear(client: &mut TcpStream, reply: &str) {
    let mut heard = vec![0; reply.len()];
    let reading = client.read_exact(&mut heard);
    let read = tokio::time::timeout(Duration::from_secs(20), reading).await;
    assert!(matches!(read, Ok(Ok(_))), "no answer");
    assert_eq!(String::from_utf8_lossy(&heard), reply);
}

async fn ask(client: &mut TcpStream, words: &[&str], reply: &str) {
    say(client, words).await;
    hear(client, reply).await;
}

async fn holds(server: &Redis, key: &str) -> bool {
    let found: i64 = redis::from_redis_value(server.call(&["EXISTS", key]).await.unwrap()).unwrap();
    found == 1
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_proxy_is_not_waited_for_and_goes_on_by_the_newest_routes() {
    let bed = Bed::new();
    let world = World::new(&bed).await;
    let slot = SlotId::of_key(b"k").get();
    let (mut client, mut other) = (world.bad.client().await, world.good.client().await);
    for client in [&mut client, &mut other] {
        ask(client, &["SET", "k", "old"], "+OK\r\n").await;
    }
    world.stop_bad(slot).await;
    world.until_nobody_waits(slot).await;
    // It counts as stopped now. The slot moves for good while a request waits at its socket.
    world.board.give(slot..=slot, 2).await;
    say(&mut client, &["SET", "k", "new"]).await;
    world.bad.process.signal(Signal::CONT);
    hear(&mut client, "+OK\r\n").await;
    assert!(holds(&world.servers[1], "k").await, "by the newest routes");
    let at_source = world.servers[0].call(&["GET", "k"]).await.unwrap();
    assert_eq!(redis::from_redis_value::<String>(at_source).unwrap(), "old");
    let figures = world.bad.figures().await;
    assert!(figures.stall_fence && figures.stalls > 0, "{figures:?}");
    // The word has come, and the next stop is fenced like the first.
    ask(&mut client, &["GET", "k"], "$3\r\nnew\r\n").await;
    world.board.give(slot..=slot, 1).await;
    ask(&mut client, &["GET", "k"], "$3\r\nold\r\n").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_whose_dashboard_is_gone_serves_on_after_a_stop() {
    let bed = Bed::new();
    let world = World::new(&bed).await;
    let mut client = world.bad.client().await;
    ask(&mut client, &["SET", "k", "old"], "+OK\r\n").await;
    until("the fence is armed", async || {
        world.bad.process.log().contains("stall fence armed")
    })
    .await;
    world.board.process.signal(Signal::STOP);
    world.bad.process.signal(Signal::STOP);
    // The stop is what is tested: it must last longer than what raises the fence.
    tokio::time::sleep(Duration::from_millis(2800)).await;
    let begun = Instant::now();
    world.bad.process.signal(Signal::CONT);
    ask(&mut client, &["GET", "k"], "$3\r\nold\r\n").await;
    let held = begun.elapsed();
    assert!(
        held > Duration::from_millis(2500),
        "ha_hold is 3 s: {held:?}"
    );
    let counted = async |name: &str| figure(&world.bad.admin, &format!("codis_proxy_{name}")).await;
    for name in ["stalls", "stall_fences", "stall_fences_expired"] {
        assert!(
            counted(&format!("{name}_total")).await >= Some(1.0),
            "{name}"
        );
    }
    let seconds = counted("stall_fence_held_seconds_total").await;
    assert!(seconds > Some(2.5), "{seconds:?}");
    world.board.process.signal(Signal::CONT);
    let (stalls, leads) = (
        format!(
            "codis_dashboard_proxy_stalls{{proxy=\"{}\"}}",
            world.bad.admin
        ),
        "codis_dashboard_leader",
    );
    until("a dashboard that leads tells of the stalls", async || {
        figure(&world.board.addr, leads).await == Some(1.0)
            && figure(&world.board.addr, &stalls).await >= Some(1.0)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_is_gone_is_not_waited_for() {
    let bed = Bed::new();
    let mut world = World::new(&bed).await;
    world.bad.process.kill();
    let took = world.until_nobody_waits(7).await;
    assert!(
        took < Duration::from_secs(10),
        "no silence to wait for: {took:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_hangs_delays_no_fill_of_other_groups() {
    let mut bed = Bed::new();
    // A proxy waits for half of it.
    bed.proxy_settings = "ha_hold = \"20s\"\n".to_owned();
    let world = World::new(&bed).await;
    let hung = SlotId::of_key(b"k").get();
    let other = (hung + 1) % 1024;
    world.board.give(other..=other, 2).await;
    let mut client = world.good.client().await;
    ask(&mut client, &["SET", "k", "v"], "+OK\r\n").await;
    // A request is in flight to the server, so a proxy waits before it moves the slot away.
    world.servers[0].process.signal(Signal::STOP);
    say(&mut client, &["GET", "k"]).await;
    until("the request is on its way", async || {
        world.good.waits_for(&world.servers[0]).await
    })
    .await;
    let at_group = async |slot: u16| {
        let answer = crate::bed::call(&world.good.admin, "GET", "/proxy/slots", "").await;
        let slots: Vec<codis_core::api::Slot> =
            codis_core::json::decode(answer.unwrap().body.as_bytes()).unwrap();
        slots[usize::from(slot)].backend_addr_group_id
    };
    let ((moved, _), (answer, took, meanwhile)) = tokio::join!(world.assign(hung, 2), async {
        until("the edit is stored", async || {
            world.board.stats().await.slots[usize::from(hung)].group_id == 2
        })
        .await;
        let (mut answer, mut took) = world.assign(other, 1).await;
        while is_late(&answer) {
            (answer, took) = world.assign(other, 1).await;
        }
        (answer, took, at_group(hung).await)
    });
    // The other slot still waits when this one is done, so this one did not wait for it.
    assert_eq!(
        (answer.status, meanwhile),
        (200, 1),
        "{took:?}: {}",
        answer.body
    );
    assert_eq!(moved.status, 800, "the proxy waits for the server");
    until("the slot moves after all", async || {
        at_group(hung).await == 2
    })
    .await;
    world.servers[0].process.signal(Signal::CONT);
}
