//! The page: embedded, or from a directory.

use std::process::Command;

use super::{Fe, content_type, write_list};
use crate::bed::{Bed, call};

#[tokio::test(flavor = "multi_thread")]
async fn the_embedded_page_needs_nothing_from_elsewhere() {
    let bed = Bed::new();
    let file = bed.path("list.json");
    write_list(&file, &[]);
    let fe = Fe::on_file(&bed, &file).await;
    let page = fe.get("/").await;
    assert_eq!(page.status, 200);
    assert_eq!(content_type(&page), "text/html; charset=utf-8");
    assert!(
        page.head
            .contains("content-security-policy: default-src 'none'")
    );
    assert!(
        !page.body.contains("//"),
        "a link to elsewhere: {}",
        page.body
    );
    let of = |name: &str| {
        let parts = page.body.split(name).skip(1);
        parts
            .filter_map(|part| part.split('"').nth(1).map(str::to_owned))
            .filter(|link| link.contains('.'))
            .collect::<Vec<_>>()
    };
    let links = [of("src="), of("href=")].concat();
    assert!(links.len() >= 2, "{links:?}");
    for link in links {
        let answer = fe.get(&format!("/{link}")).await;
        assert_eq!(answer.status, 200, "{link}");
    }
    let script = call(&fe.addr, "HEAD", "/app.js", "").await.unwrap();
    assert_eq!((script.status, script.body.as_str()), (200, ""));
    assert_eq!(content_type(&script), "text/javascript; charset=utf-8");
    // Only reads are files.
    let put = call(&fe.addr, "PUT", "/app.js", "").await.unwrap();
    assert_eq!(put.status, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_the_operators_replaces_it() {
    let bed = Bed::new();
    let (file, assets) = (bed.path("list.json"), bed.path("assets"));
    write_list(&file, &[]);
    std::fs::create_dir_all(assets.join("css")).unwrap();
    std::fs::write(assets.join("index.html"), "mine").unwrap();
    std::fs::write(assets.join("css/a.css"), "a {}").unwrap();
    let list = format!("--dashboard-list={}", file.display());
    let fe = Fe::start(
        &bed,
        &[&list, &format!("--assets-dir={}", assets.display())],
    )
    .await;
    for path in ["/", "/index.html"] {
        assert_eq!(fe.get(path).await.body, "mine", "{path}");
    }
    let style = fe.get("/css/a.css").await;
    assert_eq!(
        (style.body.as_str(), content_type(&style)),
        ("a {}", "text/css; charset=utf-8")
    );
    for path in ["/app.js", "/../list.json", "/%2e%2e/list.json", "/css"] {
        assert_eq!(fe.get(path).await.status, 403, "{path}");
    }
    assert_eq!(fe.get("/list").await.body, "[]");
}

/// The parts of the page that need no browser have tests of their own.
#[test]
fn the_modules_of_the_page_pass_their_tests() {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/ui");
    let tests = std::fs::read_dir(dir).unwrap();
    let tests: Vec<_> = tests.map(|entry| entry.unwrap().path()).collect();
    assert!(!tests.is_empty());
    let run = Command::new("node").arg("--test").args(&tests).output();
    let run = run.expect("node is there (scripts/setup)");
    let told = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success(), "{told}");
}
