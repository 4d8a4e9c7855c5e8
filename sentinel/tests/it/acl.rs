//! ACL users of one sentinel.

use std::path::Path;

use codis_core::resp::Value;

use crate::support::{Client, Process, Sentinel, show, wait_for};

/// A connection as a user.
fn client_as(sentinel: &Sentinel, credentials: &str) -> Client {
    let mut client = sentinel.client();
    assert_eq!(show(&client.call(&format!("AUTH {credentials}"))), "+OK");
    client
}

/// Sends requests to a stock sentinel and to ours, and collects what differs. Stock is 7.0, whose
/// refusals 7.2 has reworded.
fn compare(lines: &str, requests: &[&str]) {
    let (ours, stock) = (Sentinel::ours(lines), Sentinel::stock(lines));
    let (mut to_ours, mut to_stock) = (ours.client(), stock.client());
    let mut differences = Vec::new();
    for request in requests {
        let ours_said = show(&to_ours.call(request));
        let stock_said = show(&to_stock.call(request))
            .replace("NOPERM this user", "NOPERM User bob")
            .replace("This user", "User bob")
            .replace(
                "User bob has no permissions to access one of the channels used as arguments",
                "No permissions to access a channel",
            );
        // Redis 7.0 orders rules in its own way.
        let words = |said: &str| {
            let mut words: Vec<String> = said.split([' ', ',']).map(str::to_owned).collect();
            words.sort();
            words
        };
        if words(&ours_said) != words(&stock_said) {
            differences.push(format!(
                "{request}\n  ours:  {ours_said}\n  stock: {stock_said}"
            ));
        }
    }
    assert!(differences.is_empty(), "\n{}", differences.join("\n"));
}

/// Replies to ACL are those of a stock sentinel.
#[test]
fn replies_are_those_of_a_stock_sentinel() {
    compare(
        "",
        &[
            "ACL WHOAMI",
            "ACL LIST",
            "ACL USERS",
            "ACL CAT",
            "ACL CAT keyspace",
            "ACL CAT nope",
            "ACL CAT a b",
            "ACL GETUSER default",
            "ACL GETUSER nobody",
            "ACL SETUSER bob",
            "ACL GETUSER bob",
            "ACL SETUSER bob on >pw +ping +acl|whoami +subscribe +publish &foo* (+role ~x)",
            "ACL GETUSER bob",
            "ACL LIST",
            "ACL SETUSER bob +nothing",
            "ACL SETUSER bob nothing",
            "ACL SETUSER bob <nothing",
            "ACL SETUSER bob (+ping",
            "ACL SETUSER bob &*  &a",
            "ACL DRYRUN nobody ping",
            "ACL DRYRUN bob ping",
            "ACL DRYRUN bob foo",
            "ACL DRYRUN bob info",
            "ACL DRYRUN bob sentinel",
            "ACL DRYRUN bob sentinel foo",
            "ACL DRYRUN bob publish bar x",
            "ACL DRYRUN bob subscribe foo1 bar",
            "ACL GENPASS 0",
            "ACL GENPASS 5000",
            "ACL GENPASS x",
            "ACL GENPASS 1 2",
            "ACL LOG",
            "ACL LOG x",
            "ACL LOG RESET",
            "ACL LOG 1 2",
            "ACL LOAD",
            "ACL SAVE",
            "ACL HELP",
            "ACL DELUSER default",
            "ACL DELUSER bob default",
            "ACL DELUSER nobody somebody",
            "ACL USERS x",
            "AUTH x",
            "AUTH bob x",
            "AUTH nobody x",
            "AUTH a b c",
            "AUTH bob pw",
            "ACL WHOAMI",
            "ACL LIST",
            "INFO",
            "SENTINEL MASTERS",
            "SENTINEL foo",
            "CLIENT SETNAME x",
            "PING",
            "ROLE",
            "PUBLISH foo x",
            "PUBLISH bar x",
            "SUBSCRIBE bar",
            "AUTH default x",
            "ACL DELUSER bob bob",
        ],
    );
}

/// The same where a password is needed.
#[test]
fn a_password_is_asked_for_as_by_a_stock_sentinel() {
    compare(
        "requirepass passw\n",
        &[
            "PING",
            "ACL WHOAMI",
            "FOO",
            "SENTINEL foo",
            "AUTH x",
            "AUTH default x",
            "AUTH passw",
            "ACL LIST",
            "ACL SETUSER default nopass",
            "AUTH x",
            "ACL SETUSER default resetpass >other",
            "AUTH passw",
            "AUTH other",
            "PING",
        ],
    );
    let lines = "acl-pubsub-default allchannels\nuser bob on >pw\nuser default off\n";
    compare(lines, &["PING", "AUTH default x", "AUTH bob pw", "PING"]);
}

/// Refusals are counted in ACL LOG with who it was and from where.
#[test]
fn refusals_are_logged() {
    let sentinel = Sentinel::ours("user bob on >pw +ping\nacllog-max-len 3\n");
    let mut admin = sentinel.client();
    let mut bob = client_as(&sentinel, "bob pw");
    for request in [
        "INFO",
        "INFO",
        "SUBSCRIBE x",
        "AUTH bob wrong",
        "HELLO 2 AUTH eve x",
    ] {
        assert!(bob.call(request).as_error().is_some(), "{request}");
    }
    let entries = admin.call("ACL LOG");
    let field = |entry: &Value, name: &str| crate::support::field(entry, name).unwrap();
    let facts: Vec<String> = entries
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| {
            assert!(show(entry).starts_with("[count, :"), "{entry:?}");
            assert!(field(entry, "client-info").contains(" cmd="));
            let facts = ["reason", "context", "object", "username"].map(|name| field(entry, name));
            facts.join(" ")
        })
        .collect();
    let expected = [
        "auth toplevel HELLO eve",
        "auth toplevel AUTH bob",
        "command toplevel subscribe bob",
    ];
    assert_eq!(facts, expected);
    assert!(bob.call("INFO").as_error().is_some());
    let newest = show(&admin.call("ACL LOG 1"));
    assert!(
        newest.contains("object, info") && newest.contains("entry-id, :4"),
        "{newest}"
    );
    assert_eq!(show(&admin.call("ACL LOG RESET")), "+OK");
    assert_eq!(show(&admin.call("ACL LOG")), "[]");
    assert!(!sentinel.log().contains("wrong"), "no password is logged");
}

/// Whoever loses a user or a channel loses the connection.
#[test]
fn revoked_permissions_end_sessions() {
    let sentinel = Sentinel::ours("");
    let mut admin = sentinel.client();
    let rules = "ACL SETUSER bob on >pw +@all &*";
    assert_eq!(show(&admin.call(rules)), "+OK");
    let mut listener = client_as(&sentinel, "bob pw");
    let mut quiet = client_as(&sentinel, "bob pw");
    let mut own = client_as(&sentinel, "bob pw");
    listener.subscribe("+sdown");
    assert_eq!(
        show(&admin.call("ACL SETUSER bob resetchannels &other")),
        "+OK"
    );
    assert_eq!(listener.read(), None, "its channel was revoked");
    assert_eq!(show(&quiet.call("PING")), "+PONG", "it had no channel");
    assert_eq!(show(&admin.call("ACL SETUSER bob off")), "+OK");
    assert_eq!(show(&quiet.call("PING")), "+PONG", "whoever is in stays in");
    assert_eq!(
        show(&own.call("ACL DELUSER bob")),
        ":1",
        "the reply comes first"
    );
    assert_eq!(own.read(), None);
    assert_eq!(quiet.read(), None);
    assert_eq!(show(&admin.call("PING")), "+PONG");
}

/// Users of the config file are written back as a stock sentinel does, which then takes over.
#[test]
fn users_survive_a_restart_in_the_config_file() {
    let lines = "user alice on >pw ~* +ping (+role)\nsentinel monitor m 127.0.0.1 30 2\n";
    let mut sentinel = Sentinel::ours(lines);
    let mut admin = sentinel.client();
    for request in [
        "ACL SETUSER carl on >x +@fast -role",
        "SENTINEL FLUSHCONFIG",
    ] {
        assert_eq!(show(&admin.call(request)), "+OK");
    }
    let listed = show(&admin.call("ACL LIST"));
    let text = sentinel.config();
    assert!(
        !text.contains(">pw"),
        "the password in clear is gone: {text}"
    );
    let alice = "user alice on #30c952fab122c3f9759f02a6d95c3758b246b4fee239957b2d4fee46e26170c4 \
                 ~* resetchannels -@all +ping (resetchannels -@all +role)\n";
    assert!(
        text.starts_with(&text[..text.find(alice).unwrap()]),
        "{text}"
    );
    assert!(
        text.contains("\nuser default on nopass ~* &* +@all\n"),
        "{text}"
    );
    let ours = Sentinel::our_program();
    for program in [ours.clone(), "redis-sentinel".into(), ours] {
        sentinel.process.stop();
        sentinel.restart_as(program);
        let now = show(&sentinel.call("ACL LIST")).replace("nopass sanitize-payload", "nopass");
        // Redis 7.0 tells rules by what they amount to.
        assert_eq!(now.len(), listed.len(), "{now}\n{listed}");
        assert_eq!(show(&sentinel.call("SENTINEL FLUSHCONFIG")), "+OK");
    }
    let mut admin = sentinel.client();
    assert_eq!(show(&admin.call("ACL DELUSER carl")), ":1");
    assert_eq!(show(&admin.call("SENTINEL FLUSHCONFIG")), "+OK");
    assert!(
        !sentinel.config().contains("user carl"),
        "{}",
        sentinel.config()
    );
}

/// With `--state-dir` the operator's file stays as it is, and users that were changed are kept.
#[test]
fn users_survive_a_restart_in_a_state_dir() {
    let lines = "user alice on >pw +ping\n";
    let mut sentinel = Sentinel::ours_with_state_dir(lines);
    let before = sentinel.config();
    for request in [
        "ACL SETUSER carl on >x",
        "ACL DELUSER alice",
        "SENTINEL FLUSHCONFIG",
    ] {
        assert!(sentinel.call(request).as_error().is_none(), "{request}");
    }
    sentinel.process.stop();
    sentinel.restart();
    assert_eq!(show(&sentinel.call("ACL USERS")), "[carl, default]");
    assert_eq!(sentinel.config(), before);
}

/// ACL SAVE and ACL LOAD: the file is replaced whole, and a wrong one changes nothing.
#[test]
fn users_are_saved_to_their_file_and_loaded_from_it() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "user alice on >pw +ping &a\n").unwrap();
    let lines = format!("aclfile {}\n", file.path().display());
    let mut sentinel = Sentinel::ours(&lines);
    let mut alice = client_as(&sentinel, "alice pw");
    let mut admin = sentinel.client();
    assert_eq!(
        show(&admin.call("ACL SETUSER carl on nopass +@all &a")),
        "+OK"
    );
    assert_eq!(show(&admin.call("ACL SAVE")), "+OK");
    let saved = std::fs::read_to_string(file.path()).unwrap();
    let hash = "#30c952fab122c3f9759f02a6d95c3758b246b4fee239957b2d4fee46e26170c4";
    let expected = format!(
        "user alice on {hash} resetchannels &a -@all +ping\n\
         user carl on nopass resetchannels &a +@all\nuser default on nopass ~* &* +@all\n"
    );
    assert_eq!(saved, expected);
    let mut carl = client_as(&sentinel, "carl x");
    carl.subscribe("a");

    std::fs::write(file.path(), "user alice on +foo\nnonsense\n").unwrap();
    let refused = show(&admin.call("ACL LOAD"));
    assert!(
        refused.starts_with("-ERR ") && refused.contains(":2 should start"),
        "{refused}"
    );
    assert_eq!(show(&admin.call("ACL USERS")), "[alice, carl, default]");

    std::fs::write(
        file.path(),
        saved.replace("carl on nopass resetchannels &a", "carl on"),
    )
    .unwrap();
    assert_eq!(show(&admin.call("ACL LOAD")), "+OK");
    assert_eq!(carl.read(), None, "its channel is gone");
    assert_eq!(show(&alice.call("PING")), "+PONG");
    std::fs::write(file.path(), "").unwrap();
    assert_eq!(show(&admin.call("ACL LOAD")), "+OK");
    assert_eq!(alice.read(), None, "its user is gone");
    std::fs::remove_file(file.path()).unwrap();
    let path = file.path().display();
    let missing =
        format!("-ERR Error loading ACLs, opening file '{path}': No such file or directory");
    assert_eq!(show(&admin.call("ACL LOAD")), missing);

    assert_eq!(show(&admin.call("SENTINEL FLUSHCONFIG")), "+OK");
    assert!(
        !sentinel.config().contains("user "),
        "{}",
        sentinel.config()
    );
    std::fs::write(file.path(), &saved).unwrap();
    sentinel.process.stop();
    sentinel.restart();
    assert_eq!(show(&sentinel.call("ACL USERS")), "[alice, carl, default]");
}

/// A sentinel does not start with users that it cannot understand, and says why without passwords.
#[test]
fn a_start_with_wrong_users_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let acl = dir.path().join("users.acl");
    std::fs::write(&acl, "user bob on >hidden +foo\n").unwrap();
    let acl = acl.display().to_string();
    for (lines, told) in [
        (
            "user bob on >hidden +foo\n".to_owned(),
            "Unknown command or category name in ACL",
        ),
        ("user bob on\nuser bob off\n".into(), "Duplicate user found"),
        ("user\n".into(), "wrong number of arguments"),
        (
            format!("aclfile {acl}\n"),
            "users.acl:1: Error in applying operation '+foo'",
        ),
        (
            format!("aclfile {acl}.missing\n"),
            "No such file or directory",
        ),
        (format!("aclfile {acl}\nuser bob on\n"), "but not both"),
        (
            "acl-pubsub-default some\n".into(),
            "allchannels, resetchannels",
        ),
        ("acllog-max-len x\n".into(), "must be an integer"),
    ] {
        let said = refused(dir.path(), &lines);
        assert!(said.contains(told), "{lines}{said}");
        assert!(!said.contains("hidden"), "{said}");
    }
}

/// What a sentinel says that does not start with these lines.
fn refused(dir: &Path, lines: &str) -> String {
    let config = dir.join("bad.conf");
    let place = dir.display();
    std::fs::write(&config, format!("port 0\ndir {place}\n{lines}")).unwrap();
    let output = dir.join("output");
    let _ = std::fs::remove_file(&output);
    let path = config.to_str().unwrap();
    let mut process = Process::start(&Sentinel::our_program(), &[path], &output);
    assert_eq!(process.wait().code(), Some(1), "{lines}");
    std::fs::read_to_string(output).unwrap()
}

/// Users who are refused cost the others nothing: a refusal is no vote and no delay.
#[test]
fn a_user_without_permission_is_refused_at_once() {
    let sentinel = Sentinel::ours("user bob on nopass +sentinel|masters\n");
    let mut bob = client_as(&sentinel, "bob x");
    for _ in 0..100 {
        bob.write("SENTINEL FLUSHCONFIG");
    }
    for _ in 0..100 {
        let reply = show(&bob.read().unwrap());
        let expected = "-NOPERM User bob has no permissions to run the 'sentinel|flushconfig' \
                        command";
        assert_eq!(reply, expected);
    }
    assert_eq!(show(&bob.call("SENTINEL MASTERS")), "[]");
    wait_for("the refusals are one entry", || {
        show(&sentinel.call("ACL LOG")).contains("[count, :100, ")
    });
}
