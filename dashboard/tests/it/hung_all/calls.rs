//! Every route of the dashboard, timed.
//!
//! Whoever waits for a peer that hangs does so each time. A machine that is busy is slow once in a
//! while, so a call that took too long has more rounds to show that it need not.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use codis_bed::patience;
use codis_bed::wait::WAIT_MAX;
use codis_core::xauth;

use super::world::World;
use super::{CALL_MAX, TRIES};
use crate::bad_input::{Route, routes};
use crate::bed::{Answer, PRODUCT, call};
use crate::doubles::ProxyDouble;

/// What a call is allowed that has much to do: an election, a plan. Each sentinel that hangs would
/// cost 2 s.
const MUCH_MAX: Duration = Duration::from_secs(2);
/// What the last call is allowed, which nobody can make again.
const LAST_MAX: Duration = Duration::from_secs(10);

/// How a call may end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// It succeeds.
    Well,
    /// It succeeds, or names the proxy that hangs while nobody knows that it does not serve.
    Settled,
    /// It is about something that hangs, and says so.
    Refused,
}

/// Calls to one dashboard.
pub struct Calls<'a> {
    world: &'a World,
    routes: Vec<Route>,
    called: BTreeSet<(&'static str, String)>,
    /// The calls of a round in order, each with the shortest time that it took.
    times: Vec<(String, Duration)>,
    next: usize,
    proxy_blocks: bool,
}

impl<'a> Calls<'a> {
    pub fn new(world: &'a World) -> Self {
        Self {
            world,
            routes: routes(),
            called: BTreeSet::new(),
            times: Vec::new(),
            next: 0,
            proxy_blocks: true,
        }
    }

    /// All calls, in an order in which each may succeed again and again. Those that wait for the
    /// proxies may name the one that hangs.
    pub async fn all_may_fail_for_the_proxy(&mut self) {
        self.proxy_blocks = true;
        self.all().await;
    }

    /// All calls; nothing waits for the proxy that hangs.
    pub async fn all_succeed(&mut self) {
        self.proxy_blocks = false;
        self.all().await;
    }

    async fn all(&mut self) {
        self.times.clear();
        for _ in 0..TRIES {
            self.next = 0;
            self.round().await;
            if self.are_all_below(CALL_MAX) {
                return;
            }
        }
        self.times.retain(|(_, took)| *took >= CALL_MAX);
        panic!("slow each time: {:?}", self.times);
    }

    async fn round(&mut self) {
        self.pages().await;
        self.groups().await;
        self.proxies().await;
        self.slots().await;
        self.sentinels().await;
        self.put("reload/X", "", End::Well).await;
        self.put("loglevel/X/info", "", End::Well).await;
    }

    async fn pages(&mut self) {
        for page in ["/topom", "/topom/model", "/topom/stats", "/topom/slots"] {
            self.get(page, End::Well).await;
        }
        for page in ["/topom/slots/ranges", "/topom/leader", "/api/topom/model"] {
            self.get(page, End::Well).await;
        }
        for page in ["/metrics", "/live", "/ready"] {
            self.get(page, End::Well).await;
        }
        let secret = xauth::dashboard(PRODUCT);
        for what in ["stats/X", "slots/X", "xping/X", "audit/X", "audit/X/10"] {
            let path = format!("/api/topom/{}", what.replace('X', &secret));
            self.get(&path, End::Well).await;
        }
        let answer = self.timed("GET", "/", "").await;
        assert_eq!(answer.status, 302);
    }

    async fn groups(&mut self) {
        let world = self.world;
        let (replica, [spare, other]) =
            (&world.first[1].addr, [0, 1].map(|i| &world.spare[i].addr));
        let changes = [
            "group/create/X/9".to_owned(),
            format!("group/add/X/9/{spare}"),
            format!("group/add/X/9/{other}/dc"),
            format!("group/replica-groups/X/9/{spare}/1"),
            "group/replica-groups-all/X/0".to_owned(),
            format!("group/action/create/X/{replica}"),
            format!("group/action/remove/X/{replica}"),
        ];
        for change in &changes {
            self.put(change, "", End::Well).await;
        }
        for change in ["group/resync/X/1", "group/resync/X/9", "group/resync-all/X"] {
            self.put(change, "", End::Settled).await;
        }
        let changes = [
            format!("group/del/X/9/{other}"),
            format!("group/del/X/9/{spare}"),
            "group/remove/X/9".to_owned(),
        ];
        for change in &changes {
            self.put(change, "", End::Well).await;
        }
        self.get(&format!("/api/topom/group/info/{replica}"), End::Well)
            .await;
    }

    async fn proxies(&mut self) {
        let (token, addr) = (&self.world.good_token, &self.world.good.1);
        let third = ProxyDouble::start("third").await;
        let changes = [
            format!("proxy/online/X/{addr}"),
            format!("proxy/reinit/X/{token}"),
            format!("proxy/create/X/{}", third.addr),
            "proxy/remove/X/third/0".to_owned(),
        ];
        for change in &changes {
            self.put(change, "", End::Well).await;
        }
    }

    async fn slots(&mut self) {
        let slots = |group: u32| format!("[{{\"id\": 5, \"group_id\": {group}}}]");
        self.put("slots/assign/X", &slots(2), End::Settled).await;
        self.put("slots/assign/X/offline", &slots(0), End::Settled)
            .await;
        self.put("slots/assign/X", &slots(1), End::Settled).await;
        let changes = [
            "slots/action/disabled/X/1",
            "slots/action/interval/X/0",
            "slots/action/create/X/310/5",
            "slots/action/create-some/X/4/5/1",
            "slots/action/create-range/X/320/321/5",
            "slots/action/remove/X/310",
            "slots/action/remove/X/300",
            "slots/action/cancel/X/320",
            "slots/action/cancel/X/321",
            "slots/action/disabled/X/0",
        ];
        for change in changes {
            self.put(change, "", End::Well).await;
        }
        for by in ["slots", "memory"] {
            let path = format!("slots/rebalance/X/0?by={by}");
            let answer = self.timed("PUT", &path, "").await;
            assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        }
        // The keys of the server that hangs are not known.
        self.put("slots/rebalance/X/0?by=keys", "", End::Refused)
            .await;
    }

    async fn sentinels(&mut self) {
        let [Some(well), _] = [0, 1].map(|i| self.world.sentinels.get(i)) else {
            return;
        };
        let info = format!("/api/topom/sentinels/info/{}", well.addr);
        self.get(&info, End::Well).await;
        self.get(&format!("{info}/monitored"), End::Well).await;
        // It tells each of them, so it is about the one that hangs; it says so in time.
        self.put("sentinels/resync-all/X", "", End::Refused).await;
    }

    /// A promotion through the sentinels, of which one hangs; there and back when it took too long.
    pub async fn promotion_through_sentinels(&mut self, is_held: bool) {
        self.proxy_blocks = !is_held;
        let mut slow = Vec::new();
        for _ in 0..TRIES {
            self.world.sentinels_are_ready(2).await;
            let candidate = self.world.board.order(2).await.remove(1);
            self.next = 0;
            self.times.clear();
            let path = format!("group/promote/X/2/{candidate}");
            self.put(&path, "", End::Settled).await;
            assert_eq!(self.world.board.order(2).await[0], candidate);
            if self.times[0].1 < MUCH_MAX {
                return;
            }
            slow.push(self.times[0].1);
            self.world.replica_follows(2).await;
        }
        panic!("a promotion took {slow:?}");
    }

    /// The calls after which there is nothing more to call. A sentinel that was added and removed
    /// stays in the others' count of a majority for a while, so no promotion comes after that.
    pub async fn last(&mut self) {
        let more = &self.world.more;
        self.times.clear();
        for _ in 0..TRIES {
            self.next = 0;
            for change in [
                format!("sentinels/add/X/{}", more.addr),
                format!("sentinels/del/X/{}/0", more.addr),
            ] {
                self.put(&change, "", End::Well).await;
            }
            self.put("slots/action/disabled/X/1", "", End::Well).await;
            let answer = self.timed("PUT", "slots/rebalance/X/1", "").await;
            assert_eq!(answer.status, 200, "{}", answer.body);
            if self.are_all_below(MUCH_MAX) {
                break;
            }
        }
        assert!(self.are_all_below(MUCH_MAX), "{:?}", self.times);
        self.put("shutdown/X", "", End::Well).await;
        assert!(self.are_all_below(LAST_MAX), "{:?}", self.times);
    }

    /// A route that is new must be timed, too.
    pub fn assert_that_no_route_is_missing(&self) {
        let is_called = |route: &&Route| {
            let matches = |(method, path): &(&str, String)| {
                *method == route.method && is_path_of(path, &route.path)
            };
            self.called.iter().any(matches)
        };
        let missing: Vec<&Route> = self
            .routes
            .iter()
            .filter(|route| !is_called(route))
            .collect();
        assert!(missing.is_empty(), "call these here as well: {missing:?}");
    }

    fn took(&mut self, path: &str, took: Duration) {
        match self.times.get_mut(self.next) {
            Some((_, least)) => *least = took.min(*least),
            None => self.times.push((path.to_owned(), took)),
        }
        self.next += 1;
    }

    fn are_all_below(&self, limit: Duration) -> bool {
        self.times.iter().all(|(_, took)| *took < limit)
    }

    async fn get(&mut self, path: &str, end: End) {
        let answer = self.timed("GET", path, "").await;
        self.check(path, &answer, end);
    }

    /// A change; again when somebody who is well was too late for it.
    async fn put(&mut self, path: &str, body: &str, end: End) {
        let begun = Instant::now();
        let mut again = false;
        loop {
            let (answer, took) = self.ask("PUT", path, body).await;
            if again && patience::is_done(&answer.body) {
                return self.took(path, took);
            }
            if !self.is_void(&answer, end) || begun.elapsed() > WAIT_MAX {
                self.took(path, took);
                return self.check(path, &answer, end);
            }
            again = true;
        }
    }

    /// Whether a refusal tells of nothing but that somebody who is well was late.
    fn is_void(&self, answer: &Answer, end: End) -> bool {
        let of_hung = self
            .world
            .hung()
            .iter()
            .any(|name| answer.body.contains(name));
        let of_well = answer.body.contains(&self.world.good_token);
        let may_refuse = end != End::Well && of_hung && !of_well;
        answer.status == 800 && patience::is_late(&answer.body) && !may_refuse
    }

    fn check(&self, path: &str, answer: &Answer, end: End) {
        let named = format!("proxy-[{}] resync slots failed", self.world.bad_token);
        let is_right = match end {
            End::Well => answer.status == 200,
            End::Settled if self.proxy_blocks => {
                answer.status == 200 || answer.body.contains(&named)
            }
            End::Settled => answer.status == 200,
            End::Refused => {
                let hung = self.world.hung();
                answer.status == 800 && hung.iter().any(|name| answer.body.contains(name))
            }
        };
        assert!(is_right, "{path}: {} {}", answer.status, answer.body);
    }

    async fn timed(&mut self, method: &'static str, path: &str, body: &str) -> Answer {
        let (answer, took) = self.ask(method, path, body).await;
        self.took(path, took);
        answer
    }

    async fn ask(&mut self, method: &'static str, path: &str, body: &str) -> (Answer, Duration) {
        let board = &self.world.board;
        let begun = Instant::now();
        let answer = match method {
            "GET" => call(&board.addr, "GET", path, body).await.unwrap(),
            _ => board.try_put(path, body).await,
        };
        let took = begun.elapsed();
        let path = path.split('?').next().unwrap();
        let whole = if method == "GET" {
            path.to_owned()
        } else {
            format!("/api/topom/{path}")
        };
        self.called.insert((method, whole));
        (answer, took)
    }
}

/// Whether a path is one of a route, whose parameters are in braces.
fn is_path_of(path: &str, route: &str) -> bool {
    let (mut path, mut route) = (path.split('/'), route.split('/'));
    loop {
        match (path.next(), route.next()) {
            (None, None) => return true,
            (Some(_), Some(name)) if name.starts_with('{') => {}
            (Some(segment), Some(name)) if segment == name => {}
            (Some(_) | None, Some(_) | None) => return false,
        }
    }
}
