use bytes::BytesMut;
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::fuzzing;

fn request(bytes: &[u8]) -> Result<Option<usize>, ProtocolError> {
    RequestScanner::new(Limits::default()).scan(bytes)
}

fn reply(bytes: &[u8]) -> Result<Option<usize>, ProtocolError> {
    ReplyScanner::new(Limits::default()).scan(bytes)
}

fn words(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut scanner = RequestScanner::new(Limits::default());
    assert_eq!(scanner.scan(bytes), Ok(Some(bytes.len())));
    let args = scanner.args().iter();
    args.map(|arg| bytes[arg.clone()].to_vec()).collect()
}

#[test]
fn requests_of_both_kinds_are_cut_into_arguments() {
    assert_eq!(
        words(b"*2\r\n$3\r\nGET\r\n$+1\r\nk\r\n"),
        [&b"GET"[..], b"k"]
    );
    assert_eq!(words(b"*1\r\n$0\r\n\r\n"), [b""]);
    assert_eq!(words(b"*1\r\n$4\r\na\r\nb\r\n"), [b"a\r\nb"]);
    assert_eq!(
        words(b"  SET  k\tx \"a b\" \r\n"),
        [&b"SET"[..], b"k\tx", b"\"a", b"b\""]
    );
    assert_eq!(words(b"\r\n"), [b""; 0]);
    assert_eq!(words(b"   \r\n"), [b""; 0]);
    assert_eq!(words(b"a\rb\r\n"), [b"a\rb"]);
    assert_eq!(words(b"PING\n"), [b"PING"]);
    assert_eq!(words(b"\n"), [b""; 0]);
}

#[test]
fn bytes_behind_a_request_are_left_alone() {
    let mut scanner = RequestScanner::new(Limits::default());
    let two = b"PING\r\n*1\r\n$4\r\nQUIT\r\n";
    assert_eq!(scanner.scan(two), Ok(Some(6)));
    assert!(scanner.is_inline());
    scanner.reset();
    assert_eq!(scanner.scan(&two[6..]), Ok(Some(two.len() - 6)));
    assert!(!scanner.is_inline());
    assert_eq!(scanner.args().first(), Some(&(8..12)));
}

#[test]
fn what_is_no_request_is_refused_with_its_place() {
    for (bytes, text) in [
        (&b"*0\r\n"[..], "invalid multibulk length at byte 0"),
        (b"*-1\r\n", "invalid multibulk length at byte 0"),
        (b"*1048577\r\n", "invalid multibulk length at byte 0"),
        (b"*x\r\n", "invalid number at byte 1"),
        (b"*1\r\n$-1\r\n", "invalid bulk length at byte 4"),
        (b"*1\r\n$536870913\r\n", "invalid bulk length at byte 4"),
        (b"*1\r\n:1\r\n", "expected '$', got ':' at byte 4"),
        (b"*1\r\n\n", "expected '$', got '\\n' at byte 4"),
        (b"*1\r\n$1\r\nabc", "expected CRLF at byte 9"),
        (b"*1\n", "expected CRLF at byte 2"),
    ] {
        assert_eq!(request(bytes).unwrap_err().to_string(), text);
    }
    let long = vec![b'x'; 64 * 1024 + 2];
    assert_eq!(request(&long[..64 * 1024 + 1]), Ok(None));
    assert_eq!(request(&long).unwrap_err().fault, Fault::InlineTooLong);
}

#[test]
fn an_announced_length_takes_no_memory() {
    let mut scanner = RequestScanner::new(Limits::default());
    assert_eq!(scanner.scan(b"*1048576\r\n$536870912\r\n"), Ok(None));
    assert_eq!(scanner.args(), []);
    let nested = b"*1048576\r\n".repeat(64);
    assert_eq!(reply(&nested), Ok(None));
    assert_eq!(Value::parse(&nested, &Limits::default()), Ok(None));
}

#[test]
fn replies_of_every_type_end_where_they_end() {
    for whole in [
        &b"+OK\r\n"[..],
        b"+\r\n",
        b"-ERR a\rb\r\n",
        b":-12\r\n",
        b"$-1\r\n",
        b"$0\r\n\r\n",
        b"$5\r\nab\r\nc\r\n",
        b"*-1\r\n",
        b"*0\r\n",
        b"*2\r\n*0\r\n*2\r\n:1\r\n*1\r\n$1\r\nx\r\n",
    ] {
        let shown = whole.escape_ascii();
        assert_eq!(reply(whole), Ok(Some(whole.len())), "{shown}");
        assert_eq!(
            reply(&[whole, b"+next\r\n"].concat()),
            Ok(Some(whole.len())),
            "{shown}"
        );
    }
}

#[test]
fn what_is_no_reply_is_refused_with_its_place() {
    for (bytes, text) in [
        (&b"@1\r\n"[..], "unknown reply type '@' at byte 0"),
        (b"*1\r\n\xff", "unknown reply type '\\xff' at byte 4"),
        (b"*-2\r\n", "invalid multibulk length at byte 0"),
        (b"*1048577\r\n", "invalid multibulk length at byte 0"),
        (b"$-2\r\n", "invalid bulk length at byte 0"),
        (b"$536870913\r\n", "invalid bulk length at byte 0"),
        (b"$1\r\nxyz", "expected CRLF at byte 5"),
        (b":\r\n", "invalid number at byte 1"),
        (b"+OK\n", "expected CRLF at byte 3"),
        (b"+\n", "expected CRLF at byte 1"),
    ] {
        assert_eq!(reply(bytes).unwrap_err().to_string(), text);
    }
    let deep = |depth| [b"*1\r\n".repeat(depth), b":1\r\n".to_vec()].concat();
    assert_eq!(reply(&deep(64)), Ok(Some(64 * 4 + 4)));
    assert_eq!(reply(&deep(65)).unwrap_err(), Fault::TooDeep.at(64 * 4));
    let limits = Limits {
        bulk_bytes_max: 4,
        ..Limits::default()
    };
    let scan = |bytes: &[u8]| ReplyScanner::new(limits).scan(bytes);
    assert_eq!(scan(b"+abcd\r\n"), Ok(Some(7)));
    assert_eq!(scan(b"+abcde\r\n"), Err(Fault::LineTooLong.at(0)));
    assert_eq!(scan(b"+abcdef"), Err(Fault::LineTooLong.at(0)));
    assert_eq!(scan(b"$4\r\nabcd\r\n"), Ok(Some(10)));
    assert_eq!(scan(b"$5\r\n"), Err(Fault::BulkLength.at(0)));
}

#[test]
fn values_are_written_as_the_version_of_the_connection_wants_them() {
    let map = Value::Map(vec![
        (Value::bulk("id"), 7.into()),
        (Value::bulk("flags"), Value::Set(vec![Value::simple("on")])),
    ]);
    for (value, resp2, resp3) in [
        (
            map,
            "*4\r\n$2\r\nid\r\n:7\r\n$5\r\nflags\r\n*1\r\n+on\r\n",
            "%2\r\n$2\r\nid\r\n:7\r\n$5\r\nflags\r\n~1\r\n+on\r\n",
        ),
        (Value::null(), "$-1\r\n", "_\r\n"),
        (Value::Array(None), "*-1\r\n", "_\r\n"),
        (Value::Null, "$-1\r\n", "_\r\n"),
        (
            Value::Push(vec![Value::Boolean(true)]),
            "*1\r\n:1\r\n",
            ">1\r\n#t\r\n",
        ),
        (Value::Double("1.5".into()), "$3\r\n1.5\r\n", ",1.5\r\n"),
        (Value::BigNumber("12".into()), "$2\r\n12\r\n", "(12\r\n"),
        (Value::verbatim("x\n"), "$2\r\nx\n\r\n", "=6\r\ntxt:x\n\r\n"),
    ] {
        assert_eq!(value.to_bytes(), resp2, "{value:?}");
        assert_eq!(value.to_bytes_as(Protocol::Resp3), resp3, "{value:?}");
    }
}

#[test]
fn what_is_no_value_of_resp3_is_refused() {
    for (bytes, fault) in [
        (&b"_x\r\n"[..], Fault::Value),
        (b"#y\r\n", Fault::Value),
        (b",x\r\n", Fault::Value),
        (b"=3\r\ntxt\r\n", Fault::Value),
        (b"=5\r\ntxt-a\r\n", Fault::Value),
        (b"=-1\r\n", Fault::BulkLength),
        (b"!-1\r\n", Fault::BulkLength),
        (b"%-1\r\n", Fault::ArrayLength),
        (b"%524289\r\n", Fault::ArrayLength),
    ] {
        let shown = bytes.escape_ascii();
        assert_eq!(reply(bytes), Err(fault.at(0)), "{shown}");
    }
}

#[test]
fn a_scanner_serves_one_reply_after_another() {
    let stream = b"*2\r\n*1\r\n:1\r\n$2\r\nab\r\n+OK\r\n$3\r\nabc\r\n";
    let mut scanner = ReplyScanner::new(Limits::default());
    let mut at = 0;
    let mut lens = Vec::new();
    while at < stream.len() {
        let mut end = at;
        let len = loop {
            end += 1;
            if let Some(len) = scanner.scan(&stream[at..end]).unwrap() {
                break len;
            }
        };
        scanner.reset();
        lens.push(len);
        at += len;
    }
    assert_eq!(lens, [20, 5, 9]);
}

#[test]
fn values_give_their_content() {
    let text = b"*4\r\n+OK\r\n:7\r\n$-1\r\n-ERR no\r\n";
    let (value, len) = Value::parse(text, &Limits::default()).unwrap().unwrap();
    assert_eq!(len, text.len());
    let elements = value.as_array().unwrap();
    assert_eq!(elements[0].as_str(), Some("OK"));
    assert_eq!(elements[0], Value::ok());
    assert_eq!(elements[1].as_int(), Some(7));
    assert!(elements[2].is_null());
    assert_eq!(elements[3].as_error().unwrap(), "ERR no");
    assert_eq!(Value::bulk("x").as_bytes(), Some(&b"x"[..]));
    let made = Value::array([Value::ok(), 7.into(), Value::null(), Value::error("ERR no")]);
    assert_eq!(made, value);
}

#[test]
fn a_line_end_cannot_be_smuggled_into_a_line() {
    let mut out = BytesMut::new();
    write_error(&mut out, b"ERR a\r\n+OK");
    write_simple(&mut out, b"\n");
    write_integer(&mut out, i64::MIN);
    assert_eq!(&out[..], b"-ERR a  +OK\r\n+ \r\n:-9223372036854775808\r\n");
}

fn line() -> impl Strategy<Value = bytes::Bytes> {
    vec(
        any::<u8>().prop_filter("no line end", |b| !b"\r\n".contains(b)),
        0..20,
    )
    .prop_map(Into::into)
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        line().prop_map(Value::Simple),
        line().prop_map(Value::Error),
        any::<i64>().prop_map(Value::Integer),
        vec(any::<u8>(), 0..40).prop_map(Value::bulk),
        Just(Value::null()),
        Just(Value::Array(None)),
    ];
    leaf.prop_recursive(5, 60, 8, |inner| vec(inner, 0..8).prop_map(Value::array))
}

/// A value that RESP3 keeps as it is.
fn resp3_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        line().prop_map(Value::Simple),
        line().prop_map(Value::Error),
        any::<i64>().prop_map(Value::Integer),
        vec(any::<u8>(), 0..40).prop_map(Value::bulk),
        vec(any::<u8>(), 0..40).prop_map(Value::verbatim),
        any::<f64>().prop_map(|n| Value::Double(n.to_string().into())),
        any::<bool>().prop_map(Value::Boolean),
        Just(Value::Null),
    ];
    leaf.prop_recursive(5, 60, 8, |inner| {
        let elements = vec(inner.clone(), 0..8);
        prop_oneof![
            elements.clone().prop_map(Value::array),
            elements.clone().prop_map(Value::Set),
            elements.prop_map(Value::Push),
            vec((inner.clone(), inner), 0..4).prop_map(Value::Map),
        ]
    })
}

proptest! {
    #[test]
    fn a_written_value_reads_back(value in value(), behind in vec(any::<u8>(), 0..9)) {
        let mut bytes = Vec::new();
        value.encode(&mut bytes);
        let len = bytes.len();
        fuzzing::resp_reply(&bytes);
        bytes.extend(behind);
        prop_assert_eq!(Value::parse(&bytes, &Limits::default()), Ok(Some((value, len))));
    }

    #[test]
    fn a_value_written_in_resp3_reads_back(value in resp3_value()) {
        let bytes = value.to_bytes_as(Protocol::Resp3);
        fuzzing::resp_reply(&bytes);
        let len = bytes.len();
        prop_assert_eq!(Value::parse(&bytes, &Limits::default()), Ok(Some((value, len))));
    }

    #[test]
    fn a_written_request_reads_back(args in vec(vec(any::<u8>(), 0..40), 1..12)) {
        let mut bytes = Vec::new();
        encode_command(&mut bytes, &args);
        fuzzing::resp_request(&bytes);
        prop_assert_eq!(words(&bytes), args);
    }

    #[test]
    fn an_inline_request_is_cut_at_spaces(args in vec("[!-~]{1,9}", 1..9), gap in " {1,3}") {
        // A first `*` would announce the other kind of request.
        let bytes = format!("{gap}{}\r\n", args.join(&gap));
        fuzzing::resp_request(bytes.as_bytes());
        let expected: Vec<&[u8]> = args.iter().map(String::as_bytes).collect();
        prop_assert_eq!(words(bytes.as_bytes()), expected);
    }

    #[test]
    fn any_bytes_are_scanned_alike_whole_and_in_pieces(
        bytes in prop_oneof![
            vec(any::<u8>(), 0..200),
            vec(prop::sample::select(&b"*$+-:0123\r\nab "[..]), 0..60),
            "([*$:%~>=!][0-4]\r\n|[+-]a\r\n|ab\r\n|_\r\n|#t\r\n|txt:\r\n|,1\r\n){0,12}"
                .prop_map(String::into_bytes),
        ]
    ) {
        fuzzing::resp_request(&bytes);
        fuzzing::resp_reply(&bytes);
    }
}
