//! The same requests to a stock sentinel and to ours, on RESP2 and on RESP3: replies are compared
//! by type and content. What cannot be equal is masked by the rules in [`masks`]; where newer
//! versions of Redis differ from the one that is here, [`known`] says so.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};

use codis_core::resp::{Value, encode_command};

use crate::support::{Client, PATIENCE, Sentinel, Server, field, show, wait_for};
use masks::Masks;
use script::Step;

mod arity;
mod info;
mod known;
mod masks;
mod requests;
mod script;
mod secured;

/// A master with a replica, watched by ours, a stock sentinel, and a third; and a master that is
/// not there.
struct Bed {
    _servers: [Server; 2],
    ours: Sentinel,
    stock: Sentinel,
    third: Sentinel,
}

impl Bed {
    fn start() -> Self {
        let master = Server::start();
        let replica = Server::replica_of(&master);
        let lines = format!(
            "sentinel monitor m {} 2\nsentinel monitor dead 127.0.0.1 30 2\n\
             sentinel down-after-milliseconds dead 1\n",
            master.words()
        );
        let bed = Self {
            ours: Sentinel::ours(&lines),
            stock: Sentinel::stock(&lines),
            third: Sentinel::stock(&format!("sentinel monitor m {} 2\n", master.words())),
            _servers: [master, replica],
        };
        bed.settle();
        for sentinel in [&bed.ours, &bed.stock] {
            wait_for("the other master is down", || {
                let master = sentinel.call("SENTINEL MASTER dead");
                field(&master, "flags").is_some_and(|flags| flags.contains("s_down"))
            });
        }
        bed
    }

    /// Waits until everybody knows everybody.
    fn settle(&self) {
        for sentinel in [&self.ours, &self.stock] {
            wait_for("everybody is known", || {
                let replicas = show(&sentinel.call("SENTINEL REPLICAS m"));
                let peers = sentinel.call("SENTINEL SENTINELS m");
                let mut peers = peers.as_array().unwrap_or_default().iter();
                sentinel.master_field("num-other-sentinels") == "2"
                    && replicas.contains("master-link-status, ok")
                    && peers.all(|peer| field(peer, "flags").as_deref() == Some("sentinel"))
            });
        }
    }

    fn masks(&self) -> Masks {
        Masks::new(&[&self.ours, &self.stock, &self.third])
    }
}

/// A connection to each of the two.
struct Pair {
    ours: Client,
    stock: Client,
}

impl Pair {
    fn of(bed: &Bed) -> Self {
        Self {
            ours: bed.ours.client(),
            stock: bed.stock.client(),
        }
    }

    /// Sends one request to both.
    fn say(&mut self, words: &[Vec<u8>]) {
        let mut bytes = Vec::new();
        encode_command(&mut bytes, words);
        self.ours.write_raw(&bytes);
        self.stock.write_raw(&bytes);
    }

    /// The next reply of each.
    fn hear(&mut self, request: &str) -> [Value; 2] {
        [("ours", &mut self.ours), ("stock", &mut self.stock)].map(|(name, client)| {
            let reply = client.read();
            reply.unwrap_or_else(|| panic!("no reply of {name} to {request}"))
        })
    }
}

/// Everything that a peer says to bytes and the end of them.
fn exchange(sentinel: &Sentinel, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect((sentinel.host.as_str(), sentinel.port)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    // A peer that closes early makes writing and reading fail: what came before counts.
    let _ = stream.write_all(bytes);
    let _ = stream.shutdown(Shutdown::Write);
    let mut said = Vec::new();
    let _ = stream.read_to_end(&mut said);
    let text = said.escape_ascii().to_string();
    // The version, in a reply to HELLO: ours lists what 7.2 lists, and says so.
    let text = text.replace("$5\\r\\n7.2.4", "<version>");
    let text = text.replace("$6\\r\\n7.0.15", "<version>");
    // The number of the connection, in a reply to HELLO.
    match text.split_once("$2\\r\\nid\\r\\n:") {
        Some((before, after)) => {
            let after = after.trim_start_matches(|c: char| c.is_ascii_digit());
            format!("{before}$2\\r\\nid\\r\\n:<id>{after}")
        }
        None => text,
    }
}

/// Runs a script in one version of the protocol; the differences.
fn compare(bed: &Bed, protocol: u8, steps: &[Step]) -> Vec<String> {
    bed.settle();
    let masks = bed.masks();
    let mut pair = Pair::of(bed);
    if protocol == 3 {
        pair.say(&[b"HELLO".to_vec(), b"3".to_vec()]);
        pair.hear("HELLO 3");
    }
    let mut differences = Vec::new();
    for step in steps {
        let (request, said) = match step {
            Step::Say(line, replies) => {
                pair.say(&script::words(line));
                let mut said = [String::new(), String::new()];
                for _ in 0..*replies {
                    for (said, value) in said.iter_mut().zip(pair.hear(line)) {
                        *said += &(masks.apply(line, &value) + "\n");
                    }
                }
                (line.to_string(), said)
            }
            Step::Raw(bytes) => {
                let said = [&bed.ours, &bed.stock].map(|peer| exchange(peer, bytes));
                (
                    bytes[..bytes.len().min(80)].escape_ascii().to_string(),
                    said,
                )
            }
        };
        let [ours, stock] = said;
        if !known::explains(&request, &ours, &stock) {
            differences.push(format!(
                "RESP{protocol} {request}\n  ours:  {ours}\n  stock: {stock}"
            ));
        }
    }
    differences
}

fn run(steps: &[Step]) {
    let bed = Bed::start();
    let mut differences = compare(&bed, 2, steps);
    differences.extend(compare(&bed, 3, steps));
    println!("{} requests in each version of the protocol", steps.len());
    let count = differences.len();
    assert!(
        count == 0,
        "{count} differences\n{}",
        differences.join("\n")
    );
}

/// Our replies to requests of all kinds are those of a stock sentinel.
#[test]
fn replies_are_those_of_a_stock_sentinel() {
    run(&requests::all());
}

/// So are those to a wrong number of words.
#[test]
fn wrong_numbers_of_words_are_told_as_by_a_stock_sentinel() {
    run(&arity::all());
}

/// So are those to bytes that are no request, to inline requests, and to pipelines.
#[test]
fn bytes_are_taken_as_by_a_stock_sentinel() {
    run(&script::bytes());
}

/// So are those to clients that have not given the password.
#[test]
fn strangers_are_told_what_a_stock_sentinel_tells_them() {
    secured::check();
}

/// Each known difference is one: the list does not outlive its reasons.
#[test]
fn the_known_differences_are_there() {
    known::assert_used(&Bed::start());
}

/// `INFO` has the fields of a stock sentinel in its order, and its own section is equal.
#[test]
fn info_is_that_of_a_stock_sentinel() {
    info::check(&Bed::start());
}
