use bytes::Bytes;

use super::*;
use crate::port::table;

fn users() -> Users {
    Users::new(PubsubDefault::default())
}

/// Applies a line of rules to the user `u`; what is wrong with them.
fn set(users: &mut Users, line: &str) -> Result<(), String> {
    let rules: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
    let done = users.set(b"u", &rules);
    done.map(drop).map_err(|error| error.to_string())
}

fn shown(users: &Users) -> String {
    users.get("u").unwrap().to_string()
}

/// The description of `u` after each line, as measured with sentinels of Redis 7 and Valkey 9.
#[test]
fn descriptions_are_those_of_redis() {
    let mut users = users();
    for (line, description) in [
        ("", "u off resetchannels -@all"),
        ("+ping|x", "u off resetchannels -@all +ping|x"),
        (
            "+sentinel|masters +SENTINEL|MASTER -sentinel|masters",
            "u off resetchannels -@all +ping|x +sentinel|master -sentinel|masters",
        ),
        (
            "+sentinel -sentinel|master",
            "u off resetchannels -@all +ping|x +sentinel -sentinel|master",
        ),
        (
            "+@fast -@fast +@fast -ping +sentinel",
            "u off resetchannels -@all +@fast -ping +sentinel",
        ),
        ("+@all", "u off resetchannels +@all"),
        (
            "-@dangerous +client|list",
            "u off resetchannels +@all -@dangerous +client|list",
        ),
        (
            "nocommands ~a ~a ~b %R~c %W~d %RW~e %WR~f %r~g",
            "u off ~a ~b %R~c %W~d ~e ~f %R~g resetchannels -@all",
        ),
        ("~* &a &b &a", "u off ~* resetchannels &a &b -@all"),
        (
            "(+ping ~x) ( -@all &z  +role ) ()",
            "u off ~* resetchannels &a &b -@all (~x resetchannels -@all +ping) \
             (resetchannels &z -@all +role) (resetchannels -@all)",
        ),
        (
            "clearselectors skip-sanitize-payload resetkeys allchannels",
            "u off skip-sanitize-payload &* -@all",
        ),
        (
            "on nopass reset",
            "u off sanitize-payload resetchannels -@all",
        ),
        (
            "ON AllKeys allCHANNELS ALLCOMMANDS",
            "u on sanitize-payload ~* &* +@all",
        ),
        (
            "-@all +@pubsub +ping +ping|a +ping|b -sentinel",
            "u on sanitize-payload ~* &* -@all +@pubsub +ping +ping|a +ping|b -sentinel",
        ),
        (
            "-@PUBSUB +SubScribe +ping",
            "u on sanitize-payload ~* &* -@all -sentinel -@pubsub +subscribe +ping",
        ),
        ("reset %R", "u off sanitize-payload %R~ resetchannels -@all"),
    ] {
        set(&mut users, line).unwrap();
        assert_eq!(shown(&users), description, "after {line:?}");
        let mut again = Users::new(PubsubDefault::default());
        set(&mut again, &description[2..]).unwrap();
        assert_eq!(
            again.get("u"),
            users.get("u"),
            "{description} makes the same user"
        );
    }
}

#[test]
fn errors_are_those_of_redis_and_change_nothing() {
    let all_keys = "Adding a pattern after the * pattern (or the 'allkeys' flag) is not valid and \
                    does not have any effect. Try 'resetkeys' to start with an empty list of \
                    patterns";
    let all_channels = "Adding a pattern after the * pattern (or the 'allchannels' flag) is not \
                        valid and does not have any effect. Try 'resetchannels' to start with an \
                        empty list of channels";
    let hash = "The password hash must be exactly 64 characters and contain only lowercase \
                hexadecimal characters";
    let unknown = "Unknown command or category name in ACL";
    let absent = "The password you are trying to remove from the user does not exist";
    let mut users = users();
    set(&mut users, "on ~*").unwrap();
    let before = users.clone();
    for (line, rule, error) in [
        ("foo", "foo", "Syntax error"),
        ("off foo", "foo", "Syntax error"),
        ("+foo", "+foo", unknown),
        ("+", "+", unknown),
        ("-ping|x", "-ping|x", unknown),
        ("+@foo", "+@foo", unknown),
        ("+sentinel|foo", "+sentinel|foo", unknown),
        ("+|foo", "+|foo", unknown),
        ("+sentinel|", "+sentinel|", "Syntax error"),
        (
            "+sentinel|master|x",
            "+sentinel|master|x",
            "Allowing first-arg of a subcommand is not supported",
        ),
        ("~x", "~x", all_keys),
        ("%R~x", "%R~x", all_keys),
        ("resetkeys %X~a", "%X~a", "Syntax error"),
        ("resetkeys %~a", "%~a", "Syntax error"),
        ("resetkeys %RR~a", "%RR~a", "Syntax error"),
        ("&* &x", "&x", all_channels),
        ("(on)", "(on)", "Syntax error"),
        ("(+ping nopass)", "(+ping nopass)", "Syntax error"),
        ("#abc", "#abc", hash),
        ("!abc", "!abc", hash),
        ("<nope", "<nope", absent),
    ] {
        let expected = format!("Error in ACL SETUSER modifier '{rule}': {error}");
        assert_eq!(set(&mut users, line), Err(expected), "{line}");
        assert_eq!(users, before, "{line}");
    }
    assert_eq!(
        set(&mut users, "(+ping +role"),
        Err("Unmatched parenthesis in acl selector starting at '(+ping'.".into())
    );
    for name in [&b"a b"[..], b"a\0", b"a\n", b"\xff"] {
        assert_eq!(users.set(name, &[]), Err(SetError::Name));
    }
    let blank = users.set(b"u", &[b"&a b"]).unwrap_err().to_string();
    assert_eq!(blank, "Error in ACL SETUSER modifier '&a b': Syntax error");
    assert!(
        users.set(b"", &[b"on"]).unwrap().is_none(),
        "an empty name is one"
    );
}

#[test]
fn passwords_come_and_go() {
    let mut users = users();
    assert!(!users.accepts("u", b"secret"));
    set(&mut users, "on >secret >two").unwrap();
    assert!(users.accepts("u", b"secret") && users.accepts("u", b"two"));
    assert!(!users.accepts("u", b"Secret") && !users.accepts("u", b""));
    set(&mut users, "<two").unwrap();
    assert!(!users.accepts("u", b"two"));
    set(&mut users, "off").unwrap();
    assert!(!users.accepts("u", b"secret"));
    set(&mut users, "on nopass").unwrap();
    assert!(users.accepts("u", b"anything"));
    set(&mut users, ">secret").unwrap();
    assert!(!users.accepts("u", b"anything"), "a password ends nopass");
    set(&mut users, "resetpass").unwrap();
    assert!(!users.accepts("u", b"secret"));
    assert!(users.set(b"u", &[b"on", b">\xff\0 x"]).is_ok());
    assert!(
        users.accepts("u", b"\xff\0 x"),
        "a password may be any bytes"
    );
}

#[test]
fn requirepass_is_the_password_of_the_default_user() {
    let mut users = users();
    assert!(users.is_open() && users.accepts(DEFAULT, b"x"));
    users.require(Some(b"foo"));
    assert!(!users.is_open() && users.accepts(DEFAULT, b"foo") && !users.accepts(DEFAULT, b"x"));
    users.require(None);
    assert!(users.is_open());
    users.set(DEFAULT.as_bytes(), &[b"off"]).unwrap();
    assert!(!users.is_open());
    assert!(!users.remove(DEFAULT), "it stays");
}

/// What `u` is told when it sends a request.
fn verdict(users: &Users, line: &str) -> Result<(), String> {
    let args: Vec<Bytes> = line.split(' ').map(|w| Bytes::from(w.to_owned())).collect();
    let spec = table::find(&args).unwrap();
    let user = users.get("u").unwrap();
    user.check(spec, &args).map_err(|denied| denied.error("u"))
}

#[test]
fn requests_are_judged_by_command_and_channel() {
    let mut users = users();
    let no = |command: &str| {
        let text = format!("NOPERM User u has no permissions to run the '{command}' command");
        Err(text)
    };
    let channel = || Err("NOPERM No permissions to access a channel".to_owned());
    set(&mut users, "+ping|a +@pubsub &news.* +sentinel|masters").unwrap();
    assert_eq!(verdict(&users, "ping"), no("ping"));
    assert_eq!(verdict(&users, "ping A"), Ok(()));
    assert_eq!(verdict(&users, "auth x"), Ok(()), "AUTH is for everybody");
    assert_eq!(verdict(&users, "hello 3"), Ok(()));
    assert_eq!(verdict(&users, "sentinel masters"), Ok(()));
    assert_eq!(verdict(&users, "sentinel myid"), no("sentinel|myid"));
    assert_eq!(verdict(&users, "subscribe news.1"), Ok(()));
    assert_eq!(verdict(&users, "subscribe news.1 other"), channel());
    assert_eq!(verdict(&users, "psubscribe news.*"), Ok(()));
    assert_eq!(
        verdict(&users, "psubscribe news.1"),
        channel(),
        "patterns are taken as they are"
    );
    assert_eq!(verdict(&users, "unsubscribe other"), Ok(()));
    assert_eq!(verdict(&users, "publish other news.1"), channel());
    assert_eq!(verdict(&users, "publish news.1 other"), Ok(()));
}

#[test]
fn one_selector_must_allow_the_whole_request() {
    let mut users = users();
    set(&mut users, "+publish (+subscribe &a) (+subscribe &b)").unwrap();
    assert_eq!(verdict(&users, "subscribe a"), Ok(()));
    assert_eq!(verdict(&users, "subscribe b"), Ok(()));
    assert!(
        verdict(&users, "subscribe a b")
            .unwrap_err()
            .contains("channel")
    );
    assert!(
        verdict(&users, "publish a x")
            .unwrap_err()
            .contains("channel")
    );
    assert!(verdict(&users, "role").unwrap_err().contains("'role'"));
}

#[test]
fn categories_take_a_command_with_its_subcommands() {
    let mut users = users();
    set(&mut users, "+@all -@admin").unwrap();
    assert_eq!(verdict(&users, "ping"), Ok(()));
    assert!(verdict(&users, "sentinel masters").is_err());
    assert!(
        verdict(&users, "sentinel help").is_err(),
        "SENTINEL as a whole is administration"
    );
    assert_eq!(verdict(&users, "client id"), Ok(()));
    assert!(verdict(&users, "client list").is_err());
    set(&mut users, "-@all +@connection -client|id").unwrap();
    assert!(verdict(&users, "client id").is_err());
    assert_eq!(verdict(&users, "client getname"), Ok(()));
}

#[test]
fn revoked_channels_concern_who_is_subscribed_to_them() {
    let mut users = users();
    set(&mut users, "+@all &a &b* (&c)").unwrap();
    let old = users.get("u").unwrap().clone();
    let lost = |line: &str| {
        let mut changed = users.clone();
        set(&mut changed, line).unwrap();
        Lost::between(&old, changed.get("u").unwrap())
    };
    assert_eq!(lost("&d off -@all"), None, "more channels hurt nobody");
    assert_eq!(lost("allchannels"), None);
    let lost = lost("clearselectors resetchannels &b*").unwrap();
    let of = |names: &[&str]| -> Vec<Bytes> {
        names.iter().map(|n| Bytes::from((*n).to_owned())).collect()
    };
    let concerns = |channels: &[&str], patterns: &[&str]| {
        lost.concerns(of(channels).iter(), of(patterns).iter())
    };
    assert!(concerns(&["a"], &[]) && concerns(&["b1", "c"], &[]) && concerns(&[], &["b1"]));
    assert!(!concerns(&["b1"], &["b*"]) && !concerns(&[], &[]));
}

#[test]
fn users_and_rules_are_bounded() {
    let mut users = users();
    let patterns: Vec<String> = (0..2000).map(|n| format!("&{n}")).collect();
    let error = set(&mut users, &patterns.join(" ")).unwrap_err();
    assert!(error.ends_with("too many rules of this kind"), "{error}");
    assert!(set(&mut users, &">x ".repeat(3).replace('x', "")).is_ok());
    for number in 0..USERS_MAX - 2 {
        users.set(number.to_string().as_bytes(), &[]).unwrap();
    }
    assert_eq!(users.set(b"last", &[]), Err(SetError::TooMany));
    assert!(users.remove("0") && users.set(b"last", &[]).is_ok());
}
