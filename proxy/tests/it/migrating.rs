//! Requests of slots that migrate: what each answer of the old owner leads to.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use codis_core::api::Slot;
use codis_core::slot::SlotId;
use codis_core::units::{ByteSize, TimeSpan};
use codis_proxy::settings::Settings;

use super::double::Double;
use super::harness::{Client, Fixture, Server, Text, settings, slot, wait_for};

/// The slot of all keys with the tag `{t}`.
pub fn tagged() -> u16 {
    SlotId::of_key(b"{t}").get()
}

/// Two servers, and the slot of `{t}` on its way from the first (group 1) to the second (group 2).
pub struct Migration {
    pub old: Double,
    pub new: Double,
    pub old_data: Server,
    pub new_data: Server,
    pub fixture: Fixture,
}

impl Migration {
    pub fn begin(method: u8, with: Settings) -> Self {
        let (old_data, new_data) = (Server::start(&[]), Server::start(&[]));
        let (old, new) = (Double::before(&old_data), Double::before(&new_data));
        let fixture = Fixture::start(with);
        let all: Vec<Slot> = (0..1024).map(|id| slot(id, 1, &old.addr, 0)).collect();
        fixture.fill(&all).unwrap();
        fixture.put("start").unwrap();
        let migration = Self {
            old,
            new,
            old_data,
            new_data,
            fixture,
        };
        migration.fixture.fill(&[migration.form(method)]).unwrap();
        migration
    }

    fn sync() -> Self {
        Self::begin(0, settings())
    }

    pub fn semi_async() -> Self {
        Self::begin(1, settings())
    }

    /// The slot as it is pushed while it migrates.
    pub fn form(&self, method: u8) -> Slot {
        Slot {
            migrate_from: self.old.addr.clone(),
            migrate_from_group_id: 1,
            forward_method: method,
            ..slot(tagged(), 2, &self.new.addr, 0)
        }
    }

    pub fn client(&self) -> Client {
        self.fixture.client()
    }

    pub fn at_old(&self, args: &[&str]) -> String {
        self.old_data.run(args).text()
    }

    pub fn at_new(&self, args: &[&str]) -> String {
        self.new_data.run(args).text()
    }
}

/// Section 5.4 of the reference, row by row.
#[test]
fn sync_moves_the_key_and_its_mates_first() {
    let m = Migration::sync();
    m.at_old(&["SET", "{t}a", "1"]);
    m.at_old(&["SET", "{t}b", "2"]);
    let mut client = m.client();
    assert_eq!(client.text(&["INCR", "{t}a"]), "2");
    assert_eq!(m.at_old(&["EXISTS", "{t}a", "{t}b"]), "0");
    assert_eq!(m.at_new(&["MGET", "{t}a", "{t}b"]), "2 2");
    assert_eq!(client.text(&["GET", "{t}new"]), "(nil)");
    assert_eq!(client.text(&["SET", "{t}new", "x"]), "OK");
    assert_eq!(m.at_new(&["GET", "{t}new"]), "x");
    assert_eq!(client.text(&["SET", "elsewhere", "x"]), "OK");
    assert_eq!(m.old.knobs().seen("SLOTSMGRTTAGONE"), 3);
}

#[test]
fn sync_tells_what_the_old_owner_says() {
    let m = Migration::sync();
    let mut client = m.client();
    for (reply, text) in [
        (
            "-ERR some reason\r\n",
            "bad slotsmgrt resp: ERR some reason",
        ),
        (
            "+OK\r\n",
            "bad slotsmgrt resp: should be integer, but got <string>",
        ),
        (
            "*0\r\n",
            "bad slotsmgrt resp: should be integer, but got <array>",
        ),
        (
            "$1\r\nx\r\n",
            "bad slotsmgrt resp: should be integer, but got <bulkbytes>",
        ),
    ] {
        m.old.knobs().answer("SLOTSMGRTTAGONE", reply);
        let told = client.text(&["GET", "{t}a"]);
        assert_eq!(told, format!("-ERR handle request, {text}"));
    }
    for reply in [":0\r\n", ":1\r\n", ":7\r\n", ":-1\r\n"] {
        m.old.knobs().answer("SLOTSMGRTTAGONE", reply);
        assert_eq!(client.text(&["GET", "{t}a"]), "(nil)");
    }
}

/// Section 5.5 of the reference, row by row.
#[test]
fn semi_async_runs_where_the_key_is() {
    let m = Migration::semi_async();
    m.at_old(&["SET", "{t}a", "1"]);
    let mut client = m.client();
    assert_eq!(client.text(&["INCR", "{t}a"]), "2");
    assert_eq!(m.at_old(&["GET", "{t}a"]), "2");
    assert_eq!(client.text(&["SET", "{t}b", "x"]), "OK");
    assert_eq!(m.at_old(&["EXISTS", "{t}b"]), "0");
    assert_eq!(m.at_new(&["GET", "{t}b"]), "x");
    assert_eq!(
        client.text(&["LPUSH", "{t}a", "x"]),
        "-WRONGTYPE Operation against a key holding the wrong kind of value"
    );
    assert_eq!(
        m.old.knobs().seen("SLOTSMGRTTAGONE"),
        0,
        "the proxy moves nothing by itself"
    );
}

#[test]
fn semi_async_tells_what_the_old_owner_says() {
    let m = Migration::semi_async();
    let mut client = m.client();
    for (reply, text) in [
        ("*2\r\n:3\r\n-ERR what\r\n", "[3] ERR what"),
        (
            "*2\r\n:-1\r\n-ERR x\r\n",
            "type(array[0]) = <int>, len(array[0].value) = 2",
        ),
        ("*3\r\n:0\r\n:0\r\n:0\r\n", "array.len = 3"),
        ("*0\r\n", "array.len = 0"),
        ("-ERR some reason\r\n", "ERR some reason"),
        (":1\r\n", "should be integer, but got <int>"),
    ] {
        m.old.knobs().answer("SLOTSMGRT-EXEC-WRAPPER", reply);
        let told = client.text(&["GET", "{t}a"]);
        let text = format!("-ERR handle request, bad slotsmgrt-exec-wrapper resp: {text}");
        assert_eq!(told, text);
    }
    let wrong = client.text(&["GET", "{t}a", "more"]);
    assert!(
        wrong.contains("wrong number") || wrong.contains("len(array[0].value) = 2"),
        "{wrong}"
    );
}

#[test]
fn a_write_of_a_key_that_is_being_moved_waits_and_a_read_does_not() {
    let m = Migration::semi_async();
    m.at_old(&["SET", "{t}a", "1"]);
    m.old.knobs().batch_millis.store(2000, Ordering::Relaxed);
    std::thread::scope(|scope| {
        scope.spawn(|| migrate_some(&m, 0, 10));
        wait_for("the batch is under way", || {
            m.old.knobs().seen("SLOTSMGRTTAGSLOT-ASYNC") > 0
        });
        std::thread::sleep(Duration::from_millis(50));
        let began = Instant::now();
        assert_eq!(m.client().text(&["GET", "{t}a"]), "1");
        let read = began.elapsed();
        let mut writer = m.client();
        writer.send(&["INCR", "{t}a"]);
        assert!(writer.is_silent_for(Duration::from_millis(200)));
        assert_eq!(writer.read().text(), "2");
        assert!(read < began.elapsed(), "the read came first");
    });
    assert_eq!(m.at_new(&["GET", "{t}a"]), "2");
    assert!(
        m.old.knobs().seen("SLOTSMGRT-EXEC-WRAPPER") < 250,
        "it is paced"
    );
}

/// Orders the move of up to `count` keys, like the dashboard does. Gives what is said of the rest.
fn migrate_some(m: &Migration, db: u32, count: u32) -> String {
    let (host, port) = m.new.addr.rsplit_once(':').unwrap();
    let (slot, count) = (tagged().to_string(), count.to_string());
    let mut mover = m.old.client();
    mover.text(&["SELECT", &db.to_string()]);
    let name = "SLOTSMGRTTAGSLOT-ASYNC";
    mover.text(&[name, host, port, "3000", "200", "1000000", &slot, &count])
}

#[test]
fn keys_of_one_command_are_brought_together() {
    let m = Migration::semi_async();
    m.at_old(&["SADD", "{t}a", "1"]);
    m.at_old(&["SADD", "{t}b", "2"]);
    let mut client = m.client();
    assert_eq!(client.text(&["SUNIONSTORE", "{t}d", "{t}a", "{t}b"]), "2");
    assert_eq!(client.text(&["SCARD", "{t}d"]), "2");
    m.at_old(&["SADD", "{t}c", "3"]);
    let script = "return redis.call('SCARD', KEYS[1]) + redis.call('SCARD', KEYS[2])";
    assert_eq!(client.text(&["EVAL", script, "2", "{t}none", "{t}c"]), "1");
    let sum = client.text(&["EVAL", script, "2", "{t}d", "{t}c"]);
    assert_eq!(sum, "3");
    assert_eq!(m.at_old(&["DBSIZE"]), "0");
}

#[test]
fn an_empty_key_is_moved_like_any_other() {
    for method in [0, 1] {
        let m = Migration::begin(method, settings());
        let empty = Slot {
            id: SlotId::of_key(b"").get(),
            ..m.form(method)
        };
        m.fixture.fill(&[empty]).unwrap();
        m.at_old(&["SET", "", "v"]);
        assert_eq!(m.client().text(&["GET", ""]), "v");
        assert_eq!(m.client().text(&["APPEND", "", "w"]), "2");
    }
}

#[test]
fn a_split_command_gathers_from_both_sides() {
    for method in [0, 1] {
        let m = Migration::begin(method, settings());
        m.at_old(&["MSET", "{t}a", "1", "plain", "2"]);
        m.at_new(&["SET", "{t}b", "3"]);
        let mut client = m.client();
        let got = client.text(&["MGET", "{t}a", "plain", "{t}b", "{t}none"]);
        assert_eq!(got, "1 2 3 (nil)");
        assert_eq!(
            client.text(&["MSET", "{t}a", "4", "plain", "5", "{t}a", "6"]),
            "OK"
        );
        assert_eq!(client.text(&["MGET", "{t}a", "plain"]), "6 5");
        assert_eq!(client.text(&["DEL", "{t}a", "{t}a", "plain", "{t}b"]), "3");
        assert_eq!(m.at_old(&["DBSIZE"]), "0");
        assert_eq!(m.at_new(&["DBSIZE"]), "0");
    }
}

#[test]
fn a_full_old_owner_is_still_read() {
    let m = Migration::semi_async();
    m.at_old(&["MSET", "{t}a", "1", "{t}b", "2"]);
    m.at_new(&["SET", "{t}new", "3"]);
    m.old.knobs().full.store(true, Ordering::Relaxed);
    let mut client = m.client();
    assert_eq!(client.text(&["GET", "{t}a"]), "1");
    assert_eq!(client.text(&["MGET", "{t}a", "{t}b", "{t}new"]), "1 2 3");
    assert_eq!(client.text(&["GET", "{t}none"]), "(nil)");
    assert_eq!(client.text(&["SET", "{t}fresh", "x"]), "OK");
    assert_eq!(m.at_new(&["GET", "{t}fresh"]), "x");
    let refused = client.text(&["SET", "{t}a", "x"]);
    let text = "-ERR handle request, bad slotsmgrt-exec-wrapper resp: OOM command not allowed";
    assert!(refused.starts_with(text), "{refused}");
}

/// One session's requests for a slot run in order, and those for other slots do not wait for them.
#[test]
fn a_key_that_is_being_moved_delays_its_slot_only() {
    let m = Migration::semi_async();
    m.at_old(&["SET", "{t}a", "1"]);
    m.old.knobs().batch_millis.store(2000, Ordering::Relaxed);
    std::thread::scope(|scope| {
        scope.spawn(|| migrate_some(&m, 0, 10));
        wait_for("the batch is under way", || {
            m.old.knobs().seen("SLOTSMGRTTAGSLOT-ASYNC") > 0
        });
        std::thread::sleep(Duration::from_millis(50));
        let mut client = m.client();
        client.send(&["APPEND", "{t}a", "2"]);
        client.send(&["APPEND", "{t}a", "3"]);
        client.send(&["SET", "other", "x"]);
        client.send(&["GET", "{t}a"]);
        wait_for("the request behind has run", || {
            m.at_old(&["GET", "other"]) == "x"
        });
        assert!(client.is_silent_for(Duration::from_millis(50)));
        for reply in ["2", "3", "OK", "123"] {
            assert_eq!(client.read().text(), reply);
        }
    });
}

#[test]
fn the_wait_for_a_key_is_bounded() {
    let mut with = settings();
    with.slot_wait_timeout = TimeSpan::from_millis(400);
    let m = Migration::begin(1, with);
    m.at_old(&["SET", "{t}a", "1"]);
    m.old.knobs().batch_millis.store(3000, Ordering::Relaxed);
    std::thread::scope(|scope| {
        scope.spawn(|| migrate_some(&m, 0, 10));
        wait_for("the batch is under way", || {
            m.old.knobs().seen("SLOTSMGRTTAGSLOT-ASYNC") > 0
        });
        std::thread::sleep(Duration::from_millis(50));
        let told = m.client().text(&["INCR", "{t}a"]);
        assert_eq!(
            told,
            "-ERR handle request, key is being migrated for too long"
        );
    });
    assert_eq!(m.at_new(&["GET", "{t}a"]), "1");
}

#[test]
fn the_wait_for_a_key_ends_with_its_client() {
    let m = Migration::semi_async();
    m.at_old(&["SET", "{t}a", "1"]);
    m.old.knobs().batch_millis.store(6000, Ordering::Relaxed);
    std::thread::scope(|scope| {
        scope.spawn(|| migrate_some(&m, 0, 10));
        wait_for("the batch is under way", || {
            m.old.knobs().seen("SLOTSMGRTTAGSLOT-ASYNC") > 0
        });
        let began = Instant::now();
        let mut leaving = m.client();
        leaving.send(&["INCR", "{t}a"]);
        std::thread::sleep(Duration::from_millis(50));
        let socket = socket2::SockRef::from(&leaving.stream);
        socket.set_linger(Some(Duration::ZERO)).unwrap();
        drop(leaving);
        let wrapped = || m.old.knobs().seen("SLOTSMGRT-EXEC-WRAPPER");
        wait_for("nobody asks any more", || {
            let before = wrapped();
            std::thread::sleep(Duration::from_millis(150));
            wrapped() == before
        });
        assert!(began.elapsed() < Duration::from_secs(5), "before the batch");
    });
    assert_eq!(m.at_new(&["GET", "{t}a"]), "1", "its write never ran");
}

#[test]
fn what_waits_for_keys_is_bounded_in_memory() {
    let mut with = settings();
    with.slot_wait_max_bytes = ByteSize::from_kib(64);
    let m = Migration::begin(1, with);
    let large = "x".repeat(20_000);
    m.at_old(&["SET", "{t}a", "1"]);
    m.old.knobs().batch_millis.store(2000, Ordering::Relaxed);
    std::thread::scope(|scope| {
        scope.spawn(|| migrate_some(&m, 0, 10));
        wait_for("the batch is under way", || {
            m.old.knobs().seen("SLOTSMGRTTAGSLOT-ASYNC") > 0
        });
        std::thread::sleep(Duration::from_millis(50));
        let mut client = m.client();
        for _ in 0..3 {
            client.send(&["APPEND", "{t}a", &large]);
        }
        client.send(&["SET", "other", "x"]);
        assert_eq!(client.read().text(), "20001");
        let full = "-ERR handle request, too many requests wait for locked or migrating slots";
        let told = [client.read().text(), client.read().text()];
        assert!(told.contains(&full.to_owned()), "{told:?}");
        assert_eq!(client.read().text(), "OK");
    });
}

#[test]
fn slots_commands_reach_the_servers_that_they_name() {
    let m = Migration::semi_async();
    m.at_old(&["SET", "{t}a", "1"]);
    m.at_new(&["SET", "{t}b", "1"]);
    let mut client = m.client();
    let id = tagged().to_string();
    let old = m.old.addr.clone();
    assert_eq!(client.text(&["SLOTSINFO", &old]), format!("{id} 1"));
    assert_eq!(
        client.text(&["SLOTSSCAN", &id, "0"]),
        "0 {t}b",
        "only the new owner is scanned"
    );
    assert_eq!(
        client.text(&["SLOTSMAPPING", &id]),
        format!("{id} {} {old} (nil array)", m.new.addr)
    );
    assert_eq!(
        client.text(&["SLOTSINFO", "1.1.1.1:1"]),
        "-ERR backend server '1.1.1.1:1' not found"
    );
    assert_eq!(client.text(&["SLOTSHASHKEY", "{t}a"]), id);
}

/// More keys than travel one by one, some of them twice, and all of one slot.
#[test]
fn a_command_with_many_keys_finds_all_of_them() {
    for method in [0, 1] {
        let m = Migration::begin(method, settings());
        let keys: Vec<String> = (0..400).map(|n| format!("{{t}}{n}")).collect();
        let (mut old, mut new) = (m.old_data.client(), m.new_data.client());
        for (n, key) in keys.iter().enumerate() {
            let side = if n % 3 == 0 { &mut new } else { &mut old };
            side.text(&["SET", key, &n.to_string()]);
        }
        let mut mget = vec!["MGET"];
        mget.extend(keys.iter().map(String::as_str));
        mget.push(&keys[7]);
        let expected: Vec<String> = (0..400).chain([7]).map(|n| n.to_string()).collect();
        let mut client = m.client();
        assert_eq!(client.text(&mget), expected.join(" "));
        let mut del = mget.clone();
        del[0] = "DEL";
        assert_eq!(client.text(&del), "400");
        assert_eq!(m.at_old(&["DBSIZE"]), "0");
        assert_eq!(m.at_new(&["DBSIZE"]), "0");
    }
}
