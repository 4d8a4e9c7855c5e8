//! Starting from the routes of the last run, while no dashboard can be asked.

use std::time::Duration;

use super::daemon::Place;
use super::harness::{Server, Text, spread, wait_for};
use super::sentinels::Sentinel;
use codis_bed::process::Signal;

const WITH_CACHE: &str = "ha_cache = \"routes\"\nha_hold = \"1s\"";

/// A place whose routes file is written, for one group and the sentinels of it.
fn run_once(server: &Server, sentinels: &[String]) -> Place {
    let place = Place::new(WITH_CACHE);
    let mut first = place.start(&[]);
    place.bring_online(&spread(&[server], 0), sentinels);
    place.wait_served();
    wait_for("the routes are written with the sentinels", || {
        let text = std::fs::read_to_string(place.path("routes")).unwrap_or_default();
        text.contains(&server.addr()) && sentinels.iter().all(|s| text.contains(s))
    });
    first.signal(Signal::TERM);
    assert_eq!(first.wait(), Some(0));
    place
}

fn addresses(sentinels: &[Sentinel]) -> Vec<String> {
    let addr = |sentinel: &Sentinel| format!("127.0.0.1:{}", sentinel.port);
    sentinels.iter().map(addr).collect()
}

/// Whether a client is told that the proxy is not online.
fn is_offline(place: &Place) -> bool {
    std::net::TcpStream::connect(&place.addr).is_ok() && {
        let mut client = place.client();
        client
            .try_read()
            .is_some_and(|reply| reply.text() == "-ERR router is not online")
    }
}

/// The proxy is down while the master is replaced: its routes name the old one, and the sentinels
/// put that right before the first client is served.
#[test]
fn a_start_without_a_dashboard_serves_what_the_sentinels_confirm() {
    let (mut master, replica) = (Server::start(&[]), Server::start(&[]));
    replica.follow(&master);
    let sentinels: Vec<_> = (0..3).map(|_| Sentinel::start("t-1", &master)).collect();
    let place = run_once(&master, &addresses(&sentinels));
    wait_for("sentinels know replica and each other", || {
        addresses(&sentinels).iter().all(|addr| {
            std::net::TcpStream::connect(addr).is_ok() && {
                let mut client = super::harness::Client::connect(addr);
                client.send(&["INFO", "sentinel"]);
                let told = client.try_read().map(|reply| reply.text());
                told.is_some_and(|text| text.contains("slaves=1,sentinels=3"))
            }
        })
    });
    master.kill();
    wait_for("the replica is promoted", || {
        replica.run(&["ROLE"]).text().starts_with("master")
    });
    // Nobody listens at the dashboard's address.
    let _proxy = place.start(&["--dashboard=127.0.0.1:1"]);
    place.wait_served();
    let mut client = place.client();
    wait_for("writes reach the new master", || {
        client.text(&["SET", "k", "after"]) == "OK"
    });
    assert_eq!(replica.run(&["GET", "k"]).text(), "after");
    wait_for("it is told", || {
        place.said().contains("serving by the routes of ha_cache")
    });
}

#[test]
fn without_a_majority_of_sentinels_nothing_is_served() {
    let server = Server::start(&[]);
    let sentinel = Sentinel::start("t-1", &server);
    let mut named = addresses(std::slice::from_ref(&sentinel));
    named.extend(["127.0.0.1:1".to_owned(), "127.0.0.1:2".to_owned()]);
    let place = run_once(&server, &named);
    let mut proxy = place.start(&[]);
    wait_for("it listens", || is_offline(&place));
    wait_for("it says what it waits for", || {
        place
            .said()
            .contains("no majority of the sentinels named in ha_cache")
    });
    assert!(is_offline(&place));
    proxy.signal(Signal::TERM);
    assert_eq!(proxy.wait(), Some(0));
    place.write_settings(&format!("{WITH_CACHE}\nha_cache_alone = true"));
    let _alone = place.start(&[]);
    place.wait_served();
    assert_eq!(place.client().text(&["SET", "k", "v"]), "OK");
}

#[test]
fn a_damaged_file_is_told_and_not_used() {
    let server = Server::start(&[]);
    let place = run_once(&server, &[]);
    place.write_settings(&format!("{WITH_CACHE}\nha_cache_alone = true"));
    let mut bytes = std::fs::read(place.path("routes")).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(place.path("routes"), bytes).unwrap();
    let _proxy = place.start(&[]);
    wait_for("it listens", || is_offline(&place));
    wait_for("the damage is told", || {
        place.said().contains("its checksum does not match")
    });
    std::thread::sleep(Duration::from_secs(4));
    assert!(is_offline(&place));
    // A dashboard that comes later is served as ever, and the file is written anew.
    place.bring_online(&spread(&[&server], 0), &[]);
    place.wait_served();
}

/// A fill with lower epochs than those of the last run cannot bring an old master back.
#[test]
fn epochs_do_not_fall_over_a_restart() {
    let (old, new) = (Server::start(&[]), Server::start(&[]));
    let place = Place::new(WITH_CACHE);
    let mut first = place.start(&[]);
    place.bring_online(&spread(&[&new], 9), &[]);
    place.wait_served();
    wait_for("the routes are written", || {
        let text = std::fs::read_to_string(place.path("routes")).unwrap_or_default();
        text.contains(&new.addr())
    });
    first.signal(Signal::KILL);
    first.wait();
    let _second = place.start(&[]);
    place.bring_online(&spread(&[&old], 8), &[]);
    place.wait_served();
    assert_eq!(place.client().text(&["SET", "k", "v"]), "OK");
    assert_eq!(new.run(&["GET", "k"]).text(), "v");
    assert_eq!(old.run(&["GET", "k"]).text(), "(nil)");
}
