//! Settings: what is read, and what is said about what cannot be read.

use std::fs;

use codis_core::units::{ByteSize, TimeSpan};
use codis_runtime::config::{Document, Problems};

#[derive(Debug, Clone, PartialEq)]
struct Settings {
    name: String,
    port: u16,
    quorum: i64,
    primary_only: bool,
    bulk: ByteSize,
    timeout: TimeSpan,
    method: Method,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Method {
    Sync,
    SemiAsync,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            name: "codis-demo".to_owned(),
            port: 1,
            quorum: 2,
            primary_only: false,
            bulk: "32mb".parse().unwrap(),
            timeout: "30s".parse().unwrap(),
            method: Method::SemiAsync,
        }
    }
}

fn read(mut doc: Document) -> Result<Settings, Problems> {
    let mut s = Settings::default();
    doc.text("product_name", &mut s.name, |name| {
        codis_core::paths::check_product_name(name).map_err(|error| error.to_string())
    });
    doc.integer("port", &mut s.port, 1..=65535);
    doc.integer("quorum", &mut s.quorum, 1..);
    doc.boolean("primary_only", &mut s.primary_only);
    let positive: ByteSize = "1".parse().unwrap();
    doc.bytes("bulk", &mut s.bulk, positive..);
    let limits: [TimeSpan; 2] = ["1ms", "1h"].map(|text| text.parse().unwrap());
    doc.span("timeout", &mut s.timeout, limits[0]..=limits[1]);
    let methods = [("sync", Method::Sync), ("semi-async", Method::SemiAsync)];
    doc.choice("method", &mut s.method, &methods);
    doc.ignore("old_key");
    doc.finish().map(|()| s)
}

fn problems(text: &str) -> Vec<String> {
    let parsed = Document::parse("t.toml", text).and_then(read);
    parsed.unwrap_err().lines().to_vec()
}

#[test]
fn values_are_read_in_every_form_that_codis_takes() {
    assert_eq!(read(Document::empty()).unwrap(), Settings::default());
    let text = r#"
        # a comment
        product_name = "p.1-x"
        port = 19000
        "quorum" = 3
        primary_only = true
        bulk = 1024
        timeout = "1.5m"
        method = "SYNC"
        old_key = [1, 2]
    "#;
    let read = read(Document::parse("t.toml", text).unwrap()).unwrap();
    let expected = Settings {
        name: "p.1-x".to_owned(),
        port: 19000,
        quorum: 3,
        primary_only: true,
        bulk: "1kb".parse().unwrap(),
        timeout: "90s".parse().unwrap(),
        method: Method::Sync,
    };
    assert_eq!(read, expected);
}

#[test]
fn all_problems_come_at_once_in_the_order_of_the_file() {
    let text = "port = 0\nquorum = \"two\"\nprimary_onli = true\nproduct_name = \"a/b\"\n\
                method = \"async\"\nbulk = \"1MB\"\ntimeout = \"2h\"\nprimary_only = 1\n\
                zzzzzz = 1\n[section]\nport = 2\n";
    let expected = [
        "key \"port\" at line 1: 0 is out of range, expected 1..=65535",
        "key \"quorum\" at line 2: expected an integer, found the string \"two\"",
        "key \"primary_onli\" at line 3: unknown key, did you mean \"primary_only\"?",
        "key \"product_name\" at line 4: bad product name = a/b",
        "key \"method\" at line 5: \"async\" is not one of \"sync\", \"semi-async\"",
        "key \"timeout\" at line 7: 2h is out of range, expected 1ms..=1h",
        "key \"primary_only\" at line 8: expected true or false, found the integer 1",
        "key \"zzzzzz\" at line 9: unknown key",
        "key \"section\" at line 10: unknown key: the file has no tables",
    ];
    let mut told = problems(text);
    let bulk = told.remove(5);
    assert_eq!(told, expected);
    assert!(
        bulk.starts_with("key \"bulk\" at line 6: ") && bulk.contains("32mb"),
        "{bulk}"
    );
}

#[test]
fn numbers_that_do_not_fit_are_out_of_range() {
    for (text, shown) in [
        ("port = 65536", "65536 is out of range, expected 1..=65535"),
        ("port = -1", "-1 is out of range, expected 1..=65535"),
        ("quorum = 0", "0 is out of range, expected at least 1"),
        ("bulk = 0", "0 is out of range, expected at least 1"),
        ("quorum = 1.5", "expected an integer, found the float 1.5"),
    ] {
        let told = problems(text);
        assert!(
            told.len() == 1 && told[0].ends_with(shown),
            "{text}: {told:?}"
        );
    }
}

#[test]
fn flags_override_the_file_and_are_named() {
    let mut doc = Document::parse("t.toml", "port = 0\nquorum = 5").unwrap();
    doc.set("--port", "port", "7");
    doc.set("--product_name", "product_name", "other");
    doc.set("--timeout", "timeout", "5");
    let settings = read(doc).unwrap();
    assert_eq!(
        (settings.port, settings.quorum, settings.name.as_str()),
        (7, 5, "other")
    );
    assert_eq!(settings.timeout, "5s".parse().unwrap());
    let mut doc = Document::parse("t.toml", "port = 0").unwrap();
    doc.set("--quorum", "quorum", "many");
    let text = read(doc).unwrap_err().to_string();
    assert_eq!(
        text,
        "t.toml: 2 problems\n  key \"port\" at line 1: 0 is out of range, expected 1..=65535\n  \
         flag --quorum: expected an integer, found \"many\""
    );
}

#[test]
fn rules_over_several_keys_point_to_one_of_them() {
    let mut doc = Document::parse("t.toml", "\njodis_name = 'zk'").unwrap();
    doc.ignore("jodis_name");
    assert!(doc.has("jodis_name") && !doc.has("jodis_addr"));
    doc.problem("jodis_name", "needs jodis_addr");
    let text = doc.finish().unwrap_err().to_string();
    assert_eq!(
        text,
        "t.toml: key \"jodis_name\" at line 2: needs jodis_addr"
    );
}

#[test]
fn files_that_cannot_be_read_are_named_with_the_line() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("c.toml");
    let shown = |path: &std::path::Path| {
        let error = Document::load(path).unwrap_err().to_string();
        error.replace(&path.display().to_string(), "FILE")
    };
    assert_eq!(shown(&file), "FILE: no such file");
    assert_eq!(shown(dir.path()), "FILE: it is a directory, not a file");
    fs::write(&file, b"a = 1\nb = \"\xff\"").unwrap();
    assert_eq!(shown(&file), "FILE: line 2: not UTF-8 text");
    fs::write(&file, "a = 1\n\nb = \n").unwrap();
    assert!(
        shown(&file).starts_with("FILE: line 3: "),
        "{}",
        shown(&file)
    );
    fs::write(&file, "a = 1\na = 2\n").unwrap();
    assert!(
        shown(&file).starts_with("FILE: line 2: "),
        "{}",
        shown(&file)
    );
}
