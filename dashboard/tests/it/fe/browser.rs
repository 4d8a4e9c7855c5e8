//! A real browser without a window, driven through a pair of pipes in the protocol of its developer
//! tools: objects of JSON, each ended by a zero byte.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::bed::{Bed, Process, until};

/// How long the browser may take to answer, its start included.
const ANSWER_MAX: Duration = Duration::from_secs(60);
/// Messages that wait to be read.
const QUEUE_MAX: usize = 4096;

/// A browser with one page.
pub struct Browser {
    _process: Process,
    orders: File,
    answers: mpsc::Receiver<Value>,
    last: u64,
    session: Option<String>,
    /// What scripts of the page threw.
    errors: Vec<String>,
}

impl Browser {
    /// Starts Chromium and opens `url`.
    pub async fn open(bed: &Bed, url: &str) -> Self {
        let (orders, answers) = (bed.path("browser.in"), bed.path("browser.out"));
        for pipe in [&orders, &answers] {
            let made = Command::new("mkfifo").arg(pipe).status().unwrap();
            assert!(made.success());
        }
        let process = Process::start(chromium(bed, &orders, &answers), &bed.path("browser.log"));
        // Opening a pipe waits for its other end: the same order as that of the shell.
        let opening = tokio::task::spawn_blocking(move || {
            let orders = File::options().write(true).open(orders).unwrap();
            (orders, File::open(answers).unwrap())
        });
        let (orders, pipe) = tokio::time::timeout(ANSWER_MAX, opening)
            .await
            .expect("chromium must be installed (scripts/setup)")
            .unwrap();
        let (queue, answers) = mpsc::channel(QUEUE_MAX);
        std::thread::spawn(move || read(pipe, &queue));
        let mut browser = Self {
            _process: process,
            orders,
            answers,
            last: 0,
            session: None,
            errors: Vec::new(),
        };
        let blank = json!({ "url": "about:blank" });
        let target = browser.call("Target.createTarget", blank).await;
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let attached = browser.call("Target.attachToTarget", attach).await;
        browser.session = Some(attached["sessionId"].as_str().unwrap().to_owned());
        browser.call("Runtime.enable", json!({})).await;
        browser.call("Page.navigate", json!({ "url": url })).await;
        browser
    }

    /// The value of an expression in the page.
    pub async fn eval(&mut self, expression: &str) -> Value {
        let asked = json!({ "expression": expression, "returnByValue": true });
        let mut answer = self.call("Runtime.evaluate", asked).await;
        let thrown = &answer["exceptionDetails"];
        assert!(thrown.is_null(), "{expression}: {thrown}");
        answer["result"]["value"].take()
    }

    /// Waits until an expression is true.
    pub async fn until(&mut self, what: &str, expression: &str) {
        until(what, async || self.eval(expression).await == true).await;
    }

    /// All that a reader sees in the element that `selector` finds.
    pub async fn text(&mut self, selector: &str) -> String {
        let found = format!(
            "document.querySelector({})?.innerText ?? ''",
            json!(selector)
        );
        let text = self.eval(&found).await;
        text.as_str().unwrap_or_default().to_owned()
    }

    /// Clicks the first element that `selector` finds and whose text begins with `text`, once it
    /// is there and can be clicked.
    pub async fn click(&mut self, selector: &str, text: &str) {
        let clicked = format!(
            "(() => {{ const found = [...document.querySelectorAll({})]\
             .find((one) => one.textContent.startsWith({}) && !one.disabled); \
             found?.click(); return found !== undefined; }})()",
            json!(selector),
            json!(text)
        );
        self.until(&format!("{selector} with {text}"), &clicked)
            .await;
    }

    /// Asserts that no script of the page has failed.
    pub fn check(&self) {
        assert!(self.errors.is_empty(), "{:?}", self.errors);
    }

    async fn call(&mut self, method: &str, params: Value) -> Value {
        self.last += 1;
        let mut order = json!({ "id": self.last, "method": method, "params": params });
        if let Some(session) = &self.session {
            order["sessionId"] = json!(session);
        }
        let mut bytes = serde_json::to_vec(&order).unwrap();
        bytes.push(0);
        self.orders.write_all(&bytes).unwrap();
        loop {
            let received = tokio::time::timeout(ANSWER_MAX, self.answers.recv()).await;
            let received = received.unwrap_or_else(|_| panic!("no answer to {method}"));
            let mut message = received.expect("the browser ended");
            if message["method"] == "Runtime.exceptionThrown" {
                self.errors.push(message["params"].to_string());
            }
            if message["id"] == self.last {
                assert!(message["error"].is_null(), "{method}: {message}");
                return message["result"].take();
            }
        }
    }
}

/// The browser, with the pipes where it looks for them.
fn chromium(bed: &Bed, orders: &Path, answers: &Path) -> Command {
    let mut command = Command::new("sh");
    command
        .arg("-c")
        .arg("orders=$1 answers=$2; shift 2; exec chromium \"$@\" 3<\"$orders\" 4>\"$answers\"")
        .args(["sh".as_ref(), orders.as_os_str(), answers.as_os_str()])
        .args(["--headless", "--remote-debugging-pipe", "--no-first-run"])
        // Containers have no sandbox and little shared memory; the page is our own.
        .args(["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"])
        .args([
            "--disable-background-networking",
            "--disable-component-update",
        ])
        .arg(format!("--user-data-dir={}", bed.path("browser").display()));
    command
}

/// Reads messages until the browser ends or nobody wants them.
fn read(pipe: File, queue: &mpsc::Sender<Value>) {
    let mut pipe = BufReader::new(pipe);
    let mut bytes = Vec::new();
    while pipe.read_until(0, &mut bytes).is_ok_and(|len| len > 0) {
        let whole = bytes.strip_suffix(&[0]).unwrap_or(&bytes);
        let Ok(message) = serde_json::from_slice(whole) else {
            return;
        };
        if queue.blocking_send(message).is_err() {
            return;
        }
        bytes.clear();
    }
}
