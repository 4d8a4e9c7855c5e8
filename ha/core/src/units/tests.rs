use proptest::prelude::*;

use super::*;

fn size(text: &str) -> Option<i64> {
    text.parse().ok().map(ByteSize::bytes)
}

fn span(text: &str) -> Option<i64> {
    text.parse().ok().map(TimeSpan::nanos)
}

#[test]
fn sizes_are_read_with_every_unit() {
    for (text, bytes) in [
        ("0", 0),
        ("1", 1),
        ("1b", 1),
        ("1k", 1 << 10),
        ("1kb", 1 << 10),
        ("32mb", 32 << 20),
        ("1m", 1 << 20),
        ("2g", 2 << 30),
        ("2gb", 2 << 30),
        ("3t", 3 << 40),
        ("3tb", 3 << 40),
        ("4p", 4 << 50),
        ("4pb", 4 << 50),
        ("1.5 kb", 1536),
        (" \t1.5\n kb\r\x0c", 1536),
        ("0.1kb", 102),
        ("-0.1kb", -102),
        (".5k", 512),
        ("5.k", 5 << 10),
        ("-1mb", -(1 << 20)),
        ("1.99999999999999999999999999", 1),
        ("9223372036854775807", i64::MAX),
        ("-9223372036854775808", i64::MIN),
    ] {
        assert_eq!(size(text), Some(bytes), "{text}");
    }
}

#[test]
fn what_is_no_size_is_refused() {
    for text in [
        "",
        " ",
        "kb",
        "1MB",
        "1Kb",
        "1kib",
        "1 k b",
        "1.2.3",
        ".",
        "-",
        "--1",
        "+1",
        "1e3",
        "1,5",
        "0x10",
        "1s",
        "\u{661}",
        "1\u{a0}kb",
        "- 1",
        "9223372036854775808",
        "8192pb",
    ] {
        assert_eq!(size(text), None, "{text}");
    }
    assert!(
        "1MB"
            .parse::<ByteSize>()
            .unwrap_err()
            .to_string()
            .starts_with("invalid bytesize")
    );
}

#[test]
fn spans_are_read_with_every_unit() {
    for (text, nanos) in [
        ("1ns", 1),
        ("1us", 1_000),
        ("1ms", 1_000_000),
        ("1s", NANOS_PER_SECOND),
        ("1", NANOS_PER_SECOND),
        ("0.25", NANOS_PER_SECOND / 4),
        ("1m", 60 * NANOS_PER_SECOND),
        ("1.5m", 90 * NANOS_PER_SECOND),
        ("2 h", 7_200 * NANOS_PER_SECOND),
        ("1.001s", 1_001_000_000),
        ("-1s", -NANOS_PER_SECOND),
        ("0", 0),
    ] {
        assert_eq!(span(text), Some(nanos), "{text}");
    }
    for text in [
        "", "1h30m", "1 S", "1d", "1\u{b5}s", "1min", "s", "9999999h",
    ] {
        assert_eq!(span(text), None, "{text}");
    }
    assert!(
        "1h30m"
            .parse::<TimeSpan>()
            .unwrap_err()
            .to_string()
            .starts_with("invalid timesize")
    );
}

#[test]
fn values_are_shown_with_the_largest_even_unit() {
    for (bytes, text) in [
        (0, "0"),
        (1, "1"),
        (1536, "1536"),
        (1024, "1kb"),
        (-2048, "-2kb"),
        (32 << 20, "32mb"),
        (1 << 30, "1gb"),
        (5 << 40, "5tb"),
        (1 << 60, "1024pb"),
    ] {
        assert_eq!(ByteSize::from_bytes(bytes).to_string(), text);
    }
    for (read, shown) in [
        ("1.5m", "90s"),
        ("60s", "1m"),
        ("3600", "1h"),
        ("0h", "0"),
        ("1500ms", "1500ms"),
        ("1500us", "1500us"),
        ("1500ns", "1500ns"),
        ("-90s", "-90s"),
    ] {
        assert_eq!(read.parse::<TimeSpan>().unwrap().to_string(), shown);
    }
}

#[test]
fn json_holds_text_and_integers_are_taken() {
    assert_eq!(
        serde_json::to_string(&ByteSize::from_mib(32)).unwrap(),
        r#""32mb""#
    );
    assert_eq!(
        serde_json::to_string(&TimeSpan::from_millis(500)).unwrap(),
        r#""500ms""#
    );
    let size = |json| serde_json::from_str::<ByteSize>(json).ok();
    assert_eq!(size(r#""1kb""#), Some(ByteSize::from_kib(1)));
    assert_eq!(size("1024"), Some(ByteSize::from_kib(1)));
    assert_eq!(size("-1"), Some(ByteSize::from_bytes(-1)));
    let span = |json| serde_json::from_str::<TimeSpan>(json).ok();
    assert_eq!(span("30"), Some(TimeSpan::from_secs(30)));
    assert_eq!(span(r#""30ms""#), Some(TimeSpan::from_millis(30)));
    for bad in [
        "true",
        "1.5",
        "null",
        r#""x""#,
        "18446744073709551615",
        "9223372036854775807",
    ] {
        assert_eq!(span(bad), None, "{bad}");
    }
}

#[test]
fn negative_values_become_nothing_where_none_are_possible() {
    assert_eq!(ByteSize::from_bytes(-5).as_usize(), 0);
    assert_eq!(TimeSpan::from_secs(-5).duration(), Duration::ZERO);
    assert_eq!(
        TimeSpan::from(Duration::from_secs(2)),
        TimeSpan::from_secs(2)
    );
    assert_eq!(TimeSpan::from(Duration::MAX).nanos(), i64::MAX);
}

proptest! {
    #[test]
    fn what_is_shown_reads_back(number: i64) {
        prop_assert_eq!(ByteSize(number).to_string().parse(), Ok(ByteSize(number)));
        prop_assert_eq!(TimeSpan(number).to_string().parse(), Ok(TimeSpan(number)));
    }

    #[test]
    fn any_text_is_read_or_refused(text in "[ -]?[0-9.]{0,30}[ ]?[a-z]{0,2}|\\PC*") {
        let _ = (size(&text), span(&text));
    }
}
