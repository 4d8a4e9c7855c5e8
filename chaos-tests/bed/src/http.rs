//! Just enough HTTP to see what is on the wire.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// How long an answer may take.
const ANSWER_MAX: Duration = Duration::from_secs(60);

/// An answer.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    /// The cause of an application error.
    pub fn cause(&self) -> String {
        let error: serde_json::Value = serde_json::from_str(&self.body).unwrap();
        error["Cause"].as_str().unwrap().to_owned()
    }
}

/// One request on a connection of its own.
pub async fn call(addr: &str, method: &str, path: &str, body: &str) -> io::Result<Answer> {
    call_with(addr, method, path, "", body).await
}

/// The same with more lines of the head, each with its end.
pub async fn call_with(
    addr: &str,
    method: &str,
    path: &str,
    lines: &str,
    body: &str,
) -> io::Result<Answer> {
    let exchange = async {
        let mut stream = TcpStream::connect(addr).await?;
        let length = body.len();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {addr}\r\nContent-Length: {length}\r\n\
             Connection: close\r\n{lines}\r\n"
        );
        stream.write_all(format!("{head}{body}").as_bytes()).await?;
        let mut text = String::new();
        stream.read_to_string(&mut text).await?;
        Ok(text)
    };
    let text: io::Result<String> = tokio::time::timeout(ANSWER_MAX, exchange)
        .await
        .map_err(|_| io::Error::other("no answer in time"))?;
    let text = text?;
    let (head, body) = text
        .split_once("\r\n\r\n")
        .ok_or_else(|| io::Error::other("no head"))?;
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    let status = status.ok_or_else(|| io::Error::other("no status"))?;
    Ok(Answer {
        status,
        head: head.to_owned(),
        body: body.to_owned(),
    })
}

/// One figure of a daemon's `/metrics`, with its labels in the name; nothing when it is not there.
pub async fn figure(addr: &str, name: &str) -> Option<f64> {
    let answer = call(addr, "GET", "/metrics", "").await.unwrap();
    let mut lines = answer.body.lines();
    lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
}
