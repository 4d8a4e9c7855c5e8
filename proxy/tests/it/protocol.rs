//! Every command of the table through the proxy, beside the same on a direct server.
//!
//! The scripts are in `protocol/*.txt`; `script.rs` tells their form. Each runs over three real
//! masters in three manners: one request at a time, as one pipeline, and in pieces of a few bytes;
//! each time with keys that belong to another master.

mod script;

use codis_core::command::{self, Handling};
use codis_core::resp::encode_command;
use codis_core::slot::SlotId;

use super::harness::{Client, Fixture, Server, settings};
use script::Script;

/// How the requests of a script are sent.
#[derive(Clone, Copy, Debug)]
enum Manner {
    OneByOne,
    Pipelined,
    InPieces,
}

const MANNERS: [Manner; 3] = [Manner::OneByOne, Manner::Pipelined, Manner::InPieces];

#[test]
fn every_command_of_the_table_has_a_script() {
    let scripts = script::all();
    let lacking: Vec<_> = command::names()
        .filter(|name| !scripts.iter().any(|script| script.name == *name))
        .collect();
    assert!(
        lacking.is_empty(),
        "no script in tests/it/protocol/*.txt for {lacking:?}"
    );
    for script in &scripts {
        let name = script.name.as_str();
        let is_run = script.steps.iter().any(|step| step.is_of(name));
        assert!(is_run, "the script {name} does not run {name}");
    }
}

#[test]
fn the_proxy_answers_as_a_direct_server_does() {
    let direct = Server::start(&[]);
    let servers = [Server::start(&[]), Server::start(&[]), Server::start(&[])];
    let fixture = Fixture::online(settings(), &[&servers[0], &servers[1], &servers[2]]);
    let mut differences = Vec::new();
    for script in script::all() {
        for (index, manner) in MANNERS.into_iter().enumerate() {
            let tag = tag_of(index, servers.len());
            let found = run(&script, &tag, manner, &direct, &fixture);
            differences.extend(found.into_iter().map(|text| format!("{manner:?}: {text}")));
        }
    }
    let count = differences.len();
    assert!(
        count == 0,
        "{count} differences:\n{}",
        differences.join("\n")
    );
}

/// A tag whose slot belongs to server `index`.
fn tag_of(index: usize, of: usize) -> String {
    (0..)
        .map(|n| format!("t{n}"))
        .find(|tag| usize::from(SlotId::of_key(tag.as_bytes()).get()) % of == index)
        .unwrap()
}

fn run(
    script: &Script,
    tag: &str,
    manner: Manner,
    direct: &Server,
    fixture: &Fixture,
) -> Vec<String> {
    let mut there = direct.client();
    let mut here = fixture.client();
    let requests: Vec<Vec<u8>> = script
        .steps
        .iter()
        .map(|step| step.request(&script.name, tag))
        .collect();
    send(&mut here, manner, &requests);
    let mut differences = Vec::new();
    for (step, request) in script.steps.iter().zip(&requests) {
        let expected = step.compare.needs_server().then(|| {
            there.send_raw(request);
            there.try_read_raw().unwrap_or_default()
        });
        if matches!(manner, Manner::OneByOne) {
            here.send_raw(request);
        }
        let got = here.try_read_raw().unwrap_or_default();
        if let Err(wanted) = step.check(expected.as_deref(), &got) {
            differences.push(format!(
                "{}: {}\n    proxy:  {}\n    wanted: {wanted}",
                script.name,
                step.line,
                got.escape_ascii()
                    .to_string()
                    .chars()
                    .take(300)
                    .collect::<String>()
            ));
        }
    }
    differences
}

fn send(client: &mut Client, manner: Manner, requests: &[Vec<u8>]) {
    let all = requests.concat();
    match manner {
        Manner::OneByOne => {}
        Manner::Pipelined => client.send_raw(&all),
        Manner::InPieces => {
            for (n, piece) in all.chunks(7).enumerate() {
                let (head, tail) = piece.split_at(n % 7 % piece.len());
                client.send_raw(head);
                client.send_raw(tail);
            }
        }
    }
}

/// A request with too few arguments goes where there is no key, and the server judges it.
#[test]
fn requests_without_arguments_are_judged_by_the_server() {
    let direct = Server::start(&[]);
    let servers = [Server::start(&[]), Server::start(&[]), Server::start(&[])];
    let fixture = Fixture::online(settings(), &[&servers[0], &servers[1], &servers[2]]);
    let (mut there, mut here) = (direct.client(), fixture.client());
    let local = ["ECHO", "COMMAND"];
    for name in command::names().filter(|name| !local.contains(name)) {
        let command = command::lookup(name.as_bytes()).unwrap();
        if command.handling() != Handling::Forward {
            continue;
        }
        for args in [&[name][..], &[name, "k"]] {
            let mut request = Vec::new();
            encode_command(&mut request, args);
            there.send_raw(&request);
            here.send_raw(&request);
            let (wanted, got) = (there.try_read_raw().unwrap(), here.try_read_raw().unwrap());
            assert_eq!(
                got.escape_ascii().to_string(),
                wanted.escape_ascii().to_string()
            );
        }
    }
}
