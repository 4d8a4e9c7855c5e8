//! Every route with input that no client of Codis would send: a clear error in the usual shape, and
//! nothing changed. The routes are read from the source, so that a new one is covered the day that
//! it is written.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use codis_core::xauth;
use futures_util::future::join_all;

use crate::bed::{Answer, Bed, Dashboard, PRODUCT, call};
use crate::doubles::ProxyDouble;

/// How long an answer to nonsense may take.
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// Parameters that are whole numbers.
const NUMBERS: [&str; 12] = [
    "gid", "sid", "src", "dst", "num", "beg", "end", "force", "confirm", "n", "value", "state",
];
/// Those of them that name a group, a slot, or so many of them.
const IDS: [&str; 7] = ["gid", "sid", "src", "dst", "num", "beg", "end"];
const WRONG_SECRET: &str = "invalid xauth, please check product name & auth";

/// A route as the source has it.
#[derive(Clone, Debug)]
pub struct Route {
    pub method: &'static str,
    /// With its parameters in braces.
    pub path: String,
}

/// All routes of the API.
pub fn routes() -> Vec<Route> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = vec![folder.join("api.rs")];
    files.extend(files_below(&folder.join("api")));
    let mut routes = Vec::new();
    for file in files {
        // A path that others name as well is a constant.
        let leader = "\"/topom/leader\"";
        let text = std::fs::read_to_string(file).unwrap();
        let text = text.replace("LEADER_PATH", leader);
        for rest in text.split(".route(").skip(1) {
            let mut parts = rest.splitn(3, '"');
            let path = parts.nth(1).unwrap();
            let handler = parts.next().unwrap();
            let method = match handler.trim_start_matches([',', ' ', '\n']).get(..3) {
                Some("get") => "GET",
                Some("put") => "PUT",
                Some("any") => continue,
                other => panic!("{path}: {other:?} is no method that this test knows"),
            };
            let page = path == "/" || path.starts_with("/topom");
            let path = if page {
                path.to_owned()
            } else {
                format!("/api/topom{path}")
            };
            routes.push(Route { method, path });
        }
    }
    routes
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(files_below(&path));
        } else {
            files.push(path);
        }
    }
    files
}

impl Route {
    fn parameters(&self) -> Vec<&str> {
        let names = self.path.split('/');
        names
            .filter_map(|s| s.strip_prefix('{')?.strip_suffix('}'))
            .collect()
    }

    /// The path with `value` for `name` and something fit for the others.
    fn with(&self, name: &str, value: &str) -> String {
        let segments = self.path.split('/').map(|segment| {
            let parameter = segment.strip_prefix('{').and_then(|s| s.strip_suffix('}'));
            match parameter {
                None => segment.to_owned(),
                Some(parameter) if parameter == name => value.to_owned(),
                Some(parameter) => fit(parameter),
            }
        });
        segments.collect::<Vec<_>>().join("/")
    }
}

/// A value that is right for a parameter, and for which nothing there is.
fn fit(parameter: &str) -> String {
    match parameter {
        "xauth" => xauth::dashboard(PRODUCT),
        "addr" => "127.0.0.1:1".to_owned(),
        "token" => "nobody".to_owned(),
        "datacenter" => "dc".to_owned(),
        "gid" | "src" | "dst" | "sid" => "77".to_owned(),
        _ => "1".to_owned(),
    }
}

/// What is wrong for a parameter, and what must be told of it.
fn wrong(route: &Route, name: &str) -> Vec<(String, Option<String>)> {
    if name == "xauth" {
        let right = xauth::dashboard(PRODUCT);
        let upper = right.to_uppercase();
        let (cut, long) = (right[1..].to_owned(), format!("{right}{right}"));
        let values = [upper, cut, long, "0".repeat(32), "%20".to_owned()];
        let told = || Some(WRONG_SECRET.to_owned());
        let mut all: Vec<_> = values.into_iter().map(|value| (value, told())).collect();
        all.push(("%ff".to_owned(), None));
        return all;
    }
    let long = "9".repeat(10_000);
    if NUMBERS.contains(&name) && !route.path.contains("/loglevel/") {
        let texts = ["x", "1.5", "0x10", "1%20", "%00", "%ff", "1%2f1", "%d9%a1"];
        let texts = texts.map(|text| {
            let told = (text != "%ff").then(|| format!("invalid {name}"));
            (text.to_owned(), told)
        });
        let mut all = Vec::from(texts);
        all.push((long, Some(format!("invalid {name}"))));
        if IDS.contains(&name) {
            all.extend(["-1", "9223372036854775807", "10000"].map(|id| (id.to_owned(), None)));
        }
        all.push((String::new(), None));
        return all;
    }
    let texts = [
        "%00",
        "%ff",
        "%0d%0a",
        "a%20b",
        ":",
        "127.0.0.1:",
        ":1",
        "127.0.0.1:99999",
        "[::1",
        "1:2:3",
        "..%2f..%2ftopom",
        "%7b%7d",
        "",
    ];
    let mut all: Vec<_> = texts.map(|text| (text.to_owned(), None)).into();
    all.push((long, None));
    all
}

/// Everything that the store holds but the lock.
fn records(bed: &Bed) -> BTreeMap<PathBuf, Vec<u8>> {
    let files = files_below(&bed.path("store").join("data"));
    let kept = files
        .into_iter()
        .filter(|path| !path.ends_with("topom") && !path.ends_with("leader"));
    kept.map(|path| (path.clone(), std::fs::read(path).unwrap()))
        .collect()
}

fn assert_error(answer: &Answer, path: &str) {
    assert_eq!(
        answer.status, 800,
        "{path}: {} {}",
        answer.head, answer.body
    );
    let error: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
    let members: Vec<&String> = error.as_object().unwrap().keys().collect();
    assert_eq!(members, ["Cause", "Stack"], "{path}");
    assert!(!answer.cause().is_empty(), "{path}");
    assert!(
        answer.body.len() < 64 * 1024,
        "{path}: it repeats what it got"
    );
}

struct Cluster {
    bed: Bed,
    dashboard: Dashboard,
    proxy: ProxyDouble,
}

/// Something to break: a group with a server and slots, an empty one, a proxy.
async fn cluster() -> Cluster {
    let bed = Bed::new();
    let dashboard = bed.dashboard().await;
    let redis = bed.redis().await;
    dashboard.fill_group(1, &[redis]).await;
    dashboard.put("group/create/X/2").await;
    let proxy = ProxyDouble::start("proxy").await;
    dashboard
        .put(&format!("proxy/create/X/{}", proxy.addr))
        .await;
    dashboard.give(0..=9, 1).await;
    crate::bed::until("the marks are cleared", async || {
        !dashboard.group(1).await.out_of_sync
    })
    .await;
    Cluster {
        bed,
        dashboard,
        proxy,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_parameter_of_any_route_is_taken_for_another() {
    let Cluster {
        bed,
        dashboard,
        proxy,
    } = cluster().await;
    let routes = routes();
    assert!(routes.len() > 40, "the source is read wrongly: {routes:?}");
    let before = (records(&bed), proxy.slot(5));
    let ask = async |route: &Route, path: &str| {
        let begun = Instant::now();
        let answer = call(&dashboard.addr, route.method, path, "").await;
        let answer = answer.unwrap_or_else(|error| panic!("{path}: {error}"));
        assert!(
            begun.elapsed() < ANSWER_MAX,
            "{path}: {:?}",
            begun.elapsed()
        );
        answer
    };
    for route in &routes {
        for name in route.parameters() {
            let cases = wrong(route, name).into_iter().map(async |(value, told)| {
                let path = route.with(name, &value);
                let answer = ask(route, &path).await;
                let path = &path[..path.len().min(200)];
                // An empty segment makes it another route, or none.
                if value.is_empty() && (answer.status == 404 || route.method == "GET") {
                    return;
                }
                assert_error(&answer, path);
                if let Some(told) = told {
                    assert_eq!(answer.cause(), told, "{path}");
                }
            });
            join_all(cases).await;
        }
        let path = route.with("", "");
        for method in ["POST", "DELETE", "PATCH", "OPTIONS"] {
            let answer = call(&dashboard.addr, method, &path, "").await.unwrap();
            assert_eq!(answer.status, 404, "{method} {path}");
        }
        let after = (records(&bed), proxy.slot(5));
        assert!(after == before, "{route:?} changed something");
    }
    assert_eq!(dashboard.stats().await.slots[5].group_id, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_body_is_taken_for_another() {
    let Cluster { bed, dashboard, .. } = cluster().await;
    let before = records(&bed);
    let nested = "[".repeat(100_000);
    let many: Vec<String> = (0..2000)
        .map(|n| format!("{{\"id\":{},\"group_id\":1}}", n % 1024))
        .collect();
    let many = format!("[{}]", many.join(","));
    let bodies = [
        "",
        " ",
        "{",
        "nonsense",
        "null",
        "7",
        "\"text\"",
        "{}",
        "[7]",
        "[null]",
        "[[]]",
        "[{}]",
        r#"[{"group_id":1}]"#,
        r#"[{"id":"1","group_id":1}]"#,
        r#"[{"id":1.5,"group_id":1}]"#,
        r#"[{"id":-1,"group_id":1}]"#,
        r#"[{"id":1024,"group_id":1}]"#,
        r#"[{"id":4294967297,"group_id":1}]"#,
        r#"[{"id":1,"group_id":77}]"#,
        r#"[{"id":1,"group_id":-1}]"#,
        r#"[{"id":1,"group_id":2}]"#,
        r#"[{"id":1,"group_id":1},{"id":1,"group_id":1}]"#,
        r#"[{"id":1,"group_id":1,"action":{"state":"migrating","target_id":2}}]"#,
        r#"[{"id":1,"group_id":1,"action":"pending"}]"#,
        r#"[{"id":1,"group_id":1}"#,
        r#"[{"id":1,"group_id":1}] more"#,
        "\u{feff}[]",
        &nested,
        &many,
    ];
    for body in bodies {
        for path in ["slots/assign/X", "slots/assign/X/offline"] {
            let answer = dashboard.try_put(path, body).await;
            let shown = &body[..body.floor_char_boundary(100)];
            assert_error(&answer, &format!("{path} {shown}"));
        }
        assert!(records(&bed) == before, "{body} changed something");
    }
    for path in ["slots/assign/X/offline"] {
        let answer = dashboard.try_put(path, r#"[{"id":1,"group_id":1}]"#).await;
        assert_eq!(answer.cause(), "group of slot-[1] should be 0");
    }
    assert!(records(&bed) == before);
}

/// A body over the limit is refused by its length before it is sent, and cut when it has none.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_large_is_refused_on_every_route() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let Cluster { bed, dashboard, .. } = cluster().await;
    let before = records(&bed);
    let large = codis_runtime::http::REQUEST_BYTES_MAX + 1;
    for route in routes() {
        let path = route.with("", "");
        let mut stream = tokio::net::TcpStream::connect(&dashboard.addr)
            .await
            .unwrap();
        let head = format!(
            "{} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {large}\r\n\r\n",
            route.method
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = String::new();
        let read = stream.read_to_string(&mut answer);
        tokio::time::timeout(ANSWER_MAX, read)
            .await
            .unwrap()
            .unwrap();
        assert!(answer.starts_with("HTTP/1.1 800"), "{path}: {answer}");
        assert!(answer.contains("over the limit"), "{path}: {answer}");
    }
    let path = format!("/api/topom/slots/assign/{}", xauth::dashboard(PRODUCT));
    let mut stream = tokio::net::TcpStream::connect(&dashboard.addr)
        .await
        .unwrap();
    let head = format!("PUT {path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let chunk = format!("100000\r\n{}\r\n", " ".repeat(0x0010_0000));
    for _ in 0..20 {
        // It may hang up in the middle.
        if stream.write_all(chunk.as_bytes()).await.is_err() {
            break;
        }
    }
    let mut answer = vec![0; 12];
    let read = stream.read_exact(&mut answer);
    // An answer that is lost with the connection is one too: nothing was done.
    if let Ok(Ok(_)) = tokio::time::timeout(ANSWER_MAX, read).await {
        assert_eq!(answer, b"HTTP/1.1 800");
    }
    let long = format!("/api/topom/{}", "a".repeat(200_000));
    let answer = call(&dashboard.addr, "GET", &long, "").await;
    if let Ok(answer) = answer {
        assert!((400..500).contains(&answer.status), "{}", answer.head);
    }
    assert!(records(&bed) == before);
    dashboard.stats().await;
}
