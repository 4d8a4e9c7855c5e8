//! Checks that hold for any bytes. The fuzz targets and the tests run the same ones.

use crate::resp::{
    Limits, Protocol, ProtocolError, ReplyScanner, RequestScanner, Value, encode_command,
};

/// Limits low enough for short inputs to reach.
const TIGHT: Limits = Limits {
    array_len_max: 3,
    bulk_bytes_max: 8,
    inline_bytes_max: 12,
    depth_max: 2,
};

/// Scans the bytes as a request, whole and in pieces.
///
/// # Panics
/// Something that must hold does not.
pub fn resp_request(bytes: &[u8]) {
    for limits in [Limits::default(), TIGHT] {
        let mut whole = RequestScanner::new(limits);
        let result = whole.scan(bytes);
        check_bounds(bytes, result, |prefix| {
            RequestScanner::new(limits).scan(prefix)
        });
        in_pieces(bytes, result, || {
            let mut scanner = RequestScanner::new(limits);
            let args = whole.args();
            move |prefix: &[u8], last| {
                let result = scanner.scan(prefix);
                assert!(
                    !last || scanner.args() == args,
                    "arguments differ in pieces"
                );
                result
            }
        });
        if let Ok(Some(len)) = result {
            check_request(&bytes[..len], &whole, limits);
        }
    }
}

/// Scans the bytes as a reply, whole and in pieces, and reads its value.
///
/// # Panics
/// Something that must hold does not.
pub fn resp_reply(bytes: &[u8]) {
    for limits in [Limits::default(), TIGHT] {
        let result = ReplyScanner::new(limits).scan(bytes);
        check_bounds(bytes, result, |prefix| {
            ReplyScanner::new(limits).scan(prefix)
        });
        in_pieces(bytes, result, || {
            let mut scanner = ReplyScanner::new(limits);
            move |prefix: &[u8], _| scanner.scan(prefix)
        });
        let parsed = Value::parse(bytes, &limits);
        match result {
            Ok(Some(len)) => {
                let (value, parsed_len) = parsed.expect("scanned").expect("complete");
                assert_eq!(parsed_len, len);
                check_value(&value, limits);
            }
            Ok(None) => assert_eq!(parsed, Ok(None)),
            Err(error) => assert_eq!(parsed, Err(error)),
        }
    }
}

/// A complete one takes no more than there is and is not complete a byte earlier; an error points
/// into the bytes.
fn check_bounds(
    bytes: &[u8],
    result: Result<Option<usize>, ProtocolError>,
    scan: impl Fn(&[u8]) -> Result<Option<usize>, ProtocolError>,
) {
    match result {
        Ok(Some(len)) => {
            assert!(0 < len && len <= bytes.len(), "{len} of {}", bytes.len());
            assert_eq!(scan(&bytes[..len]), Ok(Some(len)));
            assert_eq!(scan(&bytes[..len - 1]), Ok(None));
        }
        Ok(None) => {}
        Err(error) => {
            assert!(error.offset <= bytes.len());
            let text = error.to_string();
            assert!(
                text.bytes().all(|byte| (b' '..=b'~').contains(&byte)),
                "{text}"
            );
        }
    }
}

/// Bytes that come in pieces give what the whole gives, once enough of them are there.
fn in_pieces<F>(bytes: &[u8], whole: Result<Option<usize>, ProtocolError>, start: impl Fn() -> F)
where
    F: FnMut(&[u8], bool) -> Result<Option<usize>, ProtocolError>,
{
    for step in [1, 2, 7, 64] {
        let mut scan = start();
        let mut end = 0;
        loop {
            end = (end + step).min(bytes.len());
            let last = end == bytes.len();
            let result = scan(&bytes[..end], last);
            if last {
                assert_eq!(result, whole, "in steps of {step}");
                break;
            }
            if result != Ok(None) {
                assert_eq!(result, whole, "in steps of {step}, after {end}");
                // The same answer is given again, whatever follows.
                assert_eq!(scan(bytes, true), whole);
                break;
            }
        }
    }
}

/// Arguments lie in order inside of the request and are the same when it is written anew.
fn check_request(request: &[u8], scanner: &RequestScanner, limits: Limits) {
    let mut end = 0;
    for arg in scanner.args() {
        // At least one byte ends an inline request behind its last argument.
        assert!(end <= arg.start && arg.start <= arg.end && arg.end < request.len());
        end = arg.end;
    }
    let args: Vec<&[u8]> = scanner
        .args()
        .iter()
        .map(|arg| &request[arg.clone()])
        .collect();
    if args.is_empty() {
        assert!(scanner.is_inline());
        return;
    }
    let mut anew = Vec::new();
    encode_command(&mut anew, &args);
    let mut second = RequestScanner::new(Limits {
        array_len_max: limits.array_len_max.max(args.len()),
        bulk_bytes_max: limits.bulk_bytes_max.max(request.len()),
        ..limits
    });
    assert_eq!(second.scan(&anew), Ok(Some(anew.len())));
    assert!(second.args().iter().map(|arg| &anew[arg.clone()]).eq(args));
}

/// A value that was read can be written and read again, in both versions. (A lone CR in a line is
/// not kept.)
fn check_value(value: &Value, limits: Limits) {
    for protocol in [Protocol::Resp2, Protocol::Resp3] {
        let written = value.to_bytes_as(protocol);
        let again = Value::parse(&written, &limits)
            .expect("written")
            .expect("complete");
        assert_eq!(again.1, written.len());
        assert_eq!(again.0.to_bytes_as(protocol), written);
    }
}
