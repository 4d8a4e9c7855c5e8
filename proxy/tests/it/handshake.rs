//! How today's clients introduce themselves: the same bytes to the proxy and to a real server.

use super::harness::{Client, Fixture, Server, Text, settings};

/// Requests that a proxy without a password answers byte for byte as a server does.
const ALIKE: &[&str] = &[
    "HELLO x",
    "HELLO 1",
    "HELLO 4",
    "HELLO 2 FOO",
    "HELLO 2 AUTH default",
    "HELLO 2 SETNAME",
    "HELLO 2 SETNAME a\u{1}b",
    "HELLO 2 AUTH nobody x",
    "AUTH nobody x",
    "AUTH default x",
    "CLIENT SETNAME a\u{1}b",
    "CLIENT SETNAME",
    "CLIENT SETNAME a b",
    "CLIENT GETNAME",
    "CLIENT SETNAME me",
    "CLIENT GETNAME",
    "CLIENT GETNAME x",
    "CLIENT SETNAME \"\"",
    "CLIENT GETNAME",
    "CLIENT NO-EVICT ON",
    "CLIENT NO-EVICT OFF",
    "CLIENT NO-EVICT what",
    "CLIENT NO-EVICT",
    "CLIENT REPLY ON",
    "CLIENT REPLY what",
    "CLIENT LIST TYPE what",
    "CLIENT LIST TYPE pubsub",
    "CLIENT LIST WHAT",
    "CLIENT LIST ID x",
    "CLIENT LIST ID 999999999",
    "ECHO hi",
    "ECHO",
    "ECHO a b",
    "PING",
    "PING hi",
    "TIME x",
    "RESET x",
    "RESET",
    "COMMAND COUNT x",
    "COMMAND WHAT",
    "COMMAND GETKEYS",
    "OBJECT ENCODING none",
    "MEMORY USAGE none",
];

/// The next reply as its bytes would be, from its parts.
fn told(client: &mut Client, words: &[&str]) -> String {
    format!("{:?}", client.run(words))
}

#[test]
fn handshakes_are_answered_as_by_a_server() {
    let server = Server::start(&[]);
    let fixture = Fixture::online(settings(), &[&server]);
    for protocol in ["2", "3"] {
        let (mut ours, mut real) = (fixture.client(), server.client());
        for client in [&mut ours, &mut real] {
            let hello = client.text(&["HELLO", protocol]);
            assert!(hello.contains(&format!(" proto {protocol} ")), "{hello}");
        }
        for line in ALIKE {
            let words: Vec<&str> = line
                .split(' ')
                .map(|word| if word == "\"\"" { "" } else { word })
                .collect();
            let (ours, real) = (told(&mut ours, &words), told(&mut real, &words));
            assert_eq!(ours, real, "{line} in RESP{protocol}");
        }
    }
}

#[test]
fn hello_three_is_declined_and_the_session_goes_on() {
    let server = Server::start(&[]);
    let mut with = settings();
    with.session_resp3 = false;
    let fixture = Fixture::online(with, &[&server]);
    let mut client = fixture.client();
    // What a client that prefers RESP3 sends at once, and then falls back.
    client.send_raw(b"*5\r\n$5\r\nHELLO\r\n$1\r\n3\r\n$4\r\nAUTH\r\n$7\r\ndefault\r\n$1\r\nx\r\n");
    assert_eq!(
        client.read().text(),
        "-NOPROTO unsupported protocol version"
    );
    let hello = client.text(&["HELLO", "2", "SETNAME", "me"]);
    assert!(hello.starts_with("server redis version "), "{hello}");
    assert!(hello.contains(" proto 2 id "), "{hello}");
    assert!(
        hello.ends_with(" mode standalone role master modules "),
        "{hello}"
    );
    assert_eq!(client.text(&["CLIENT", "GETNAME"]), "me");
    assert_eq!(client.text(&["HELLO"]), hello);
    assert_eq!(client.text(&["SET", "k", "v"]), "OK");
}

#[test]
fn passwords_are_taken_in_every_form() {
    let server = Server::start(&[]);
    let mut with = settings();
    with.session_auth = "secret".to_owned();
    with.session_resp3 = false;
    let fixture = Fixture::online(with, &[&server]);
    const WRONG: &str = "-WRONGPASS invalid username-password pair or user is disabled.";
    const NO_AUTH: &str = "-NOAUTH Authentication required";
    let mut client = fixture.client();
    for (line, expected) in [
        ("GET k", NO_AUTH),
        ("MGET k j", NO_AUTH),
        ("INFO", NO_AUTH),
        ("CLIENT SETNAME me", NO_AUTH),
        ("CLIENT ID", NO_AUTH),
        ("COMMAND COUNT", NO_AUTH),
        ("ECHO hi", NO_AUTH),
        ("TIME", NO_AUTH),
        ("XREAD STREAMS k 0", NO_AUTH),
        // What is not allowed is so for everybody.
        (
            "XREAD BLOCK 0 STREAMS k 0",
            "-ERR handle request, command 'XREAD BLOCK' is not allowed",
        ),
        (
            "CLIENT KILL x",
            "-ERR handle request, command 'CLIENT' is not allowed",
        ),
        ("AUTH default wrong", WRONG),
        ("AUTH nobody secret", WRONG),
        (
            "AUTH a b c",
            "-ERR wrong number of arguments for 'AUTH' command",
        ),
        ("HELLO 2 AUTH default wrong", WRONG),
        (
            "HELLO 3 AUTH default secret",
            "-NOPROTO unsupported protocol version",
        ),
        ("GET k", NO_AUTH),
        ("AUTH default secret", "OK"),
        ("GET k", "(nil)"),
        ("AUTH default wrong", WRONG),
        ("GET k", NO_AUTH),
        ("AUTH secret", "OK"),
        ("SELECT 3", "OK"),
        ("RESET", "RESET"),
        ("GET k", NO_AUTH),
        ("QUIT", "OK"),
    ] {
        let words: Vec<&str> = line.split(' ').collect();
        assert_eq!(client.text(&words), expected, "{line}");
    }
    let mut client = fixture.client();
    let early = client.text(&["HELLO", "2"]);
    assert!(
        early.starts_with("-NOAUTH HELLO must be called with"),
        "{early}"
    );
    let hello = ["HELLO", "2", "AUTH", "default", "secret", "SETNAME", "me"];
    assert!(client.text(&hello).starts_with("server redis"));
    assert_eq!(client.text(&["CLIENT", "GETNAME"]), "me");
}

#[test]
fn reset_makes_a_connection_new() {
    let server = Server::start(&[]);
    let fixture = Fixture::online(settings(), &[&server]);
    let mut client = fixture.client();
    client.text(&["SET", "k", "zero"]);
    client.text(&["SELECT", "5"]);
    client.text(&["CLIENT", "SETNAME", "me"]);
    assert_eq!(client.text(&["GET", "k"]), "(nil)");
    assert_eq!(client.text(&["RESET"]), "RESET");
    assert_eq!(client.text(&["GET", "k"]), "zero");
    assert_eq!(client.text(&["CLIENT", "GETNAME"]), "(nil)");
}

#[test]
fn a_client_learns_about_itself_and_no_other() {
    let server = Server::start(&[]);
    let fixture = Fixture::online(settings(), &[&server]);
    let (mut client, mut other) = (fixture.client(), fixture.client());
    let id = client.text(&["CLIENT", "ID"]);
    assert_ne!(other.text(&["CLIENT", "ID"]), id);
    client.text(&["SELECT", "2"]);
    client.text(&["CLIENT", "SETNAME", "me"]);
    assert_eq!(
        client.text(&["CLIENT", "SETINFO", "LIB-NAME", "some-lib"]),
        "OK"
    );
    assert_eq!(client.text(&["CLIENT", "SETINFO", "lib-ver", "1.2"]), "OK");
    for (line, expected) in [
        ("CLIENT SETINFO LIB-X 1", "-ERR Unrecognized option 'LIB-X'"),
        (
            "CLIENT SETINFO LIB-VER \u{1}",
            "-ERR lib-ver cannot contain spaces, newlines or special characters.",
        ),
        (
            "CLIENT SETINFO LIB-VER",
            "-ERR wrong number of arguments for 'client|setinfo' command",
        ),
        ("CLIENT CAPA redirect", "OK"),
        ("CLIENT NO-TOUCH OFF", "OK"),
    ] {
        let words: Vec<&str> = line.split(' ').collect();
        assert_eq!(client.text(&words), expected, "{line}");
    }
    let address = client.stream.local_addr().unwrap().to_string();
    let info = client.text(&["CLIENT", "INFO"]);
    for part in [
        format!("id={id} addr={address} "),
        " name=me ".to_owned(),
        " db=2 ".to_owned(),
        " resp=2 ".to_owned(),
        " lib-name=some-lib lib-ver=1.2\n".to_owned(),
    ] {
        assert!(info.contains(&part), "{part} in {info}");
    }
    // Every member that a server of version 7.0 has, in its order.
    let members = |line: &str| -> Vec<String> {
        let words = line.split_whitespace();
        words
            .map(|word| word.split('=').next().unwrap().to_owned())
            .collect()
    };
    let mut ours = members(&info);
    let real = members(&server.run(&["CLIENT", "INFO"]).text());
    ours.retain(|member| real.contains(member));
    assert_eq!(ours, real);
    let list = client.text(&["CLIENT", "LIST"]);
    assert_eq!(list.lines().count(), 1);
    assert!(list.contains(&format!("id={id} ")) && list.contains("cmd=client|list"));
    assert_eq!(
        client
            .text(&["CLIENT", "LIST", "TYPE", "normal"])
            .lines()
            .count(),
        1
    );
    assert_eq!(
        client
            .text(&["CLIENT", "LIST", "ID", "7", &id])
            .lines()
            .count(),
        1
    );
}

#[test]
fn what_any_server_would_say_the_proxy_says() {
    let server = Server::start(&[]);
    let fixture = Fixture::online(settings(), &[&server]);
    let mut client = fixture.client();
    let time = client.text(&["TIME"]);
    let (seconds, micros) = time.split_once(' ').unwrap();
    let real = server.run(&["TIME"]).text();
    let real: u64 = real.split(' ').next().unwrap().parse().unwrap();
    assert!(seconds.parse::<u64>().unwrap().abs_diff(real) < 60);
    assert!(micros.parse::<u32>().unwrap() < 1_000_000);
    assert!(
        client
            .text(&["LOLWUT", "VERSION", "5"])
            .starts_with("Codis proxy ver. ")
    );
    assert_eq!(client.text(&["PING", &server.addr()]), "PONG");
    assert_eq!(client.text(&["PING", &server.addr(), "hi"]), "hi");
    client.send_raw(b"PING hi\r\nECHO hi\r\n");
    assert_eq!(client.read().text(), "hi");
    assert_eq!(client.read().text(), "hi");
    let asked: Vec<String> = ["echo", "time", "command"]
        .iter()
        .map(|name| format!("cmdstat_{name}:"))
        .collect();
    let seen = server.run(&["INFO", "commandstats"]).text();
    assert!(!asked[..1].iter().any(|stat| seen.contains(stat)), "{seen}");
}
