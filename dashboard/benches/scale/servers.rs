//! Servers that answer `INFO` and `CONFIG GET`, hundreds in one process.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use bytes::BytesMut;
use codis_core::resp::{Limits, RequestScanner};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

/// All servers.
pub struct Servers {
    pub addrs: Vec<String>,
    asked: Arc<Mutex<BTreeSet<usize>>>,
}

impl Servers {
    pub async fn start(count: usize) -> anyhow::Result<Self> {
        let asked: Arc<Mutex<BTreeSet<usize>>> = Arc::default();
        let mut addrs = Vec::new();
        for number in 0..count {
            let listener = TcpListener::bind("127.0.0.1:0").await?;
            addrs.push(listener.local_addr()?.to_string());
            let (info, asked) = (Arc::new(info(number)), asked.clone());
            tokio::spawn(async move {
                while let Ok((stream, _)) = listener.accept().await {
                    let (info, asked) = (info.clone(), asked.clone());
                    let on_info = move || {
                        let mut asked = asked.lock().unwrap_or_else(PoisonError::into_inner);
                        asked.insert(number);
                    };
                    // A client that goes away ends its task.
                    tokio::spawn(async move { serve(stream, &info, on_info).await });
                }
            });
        }
        Ok(Self { addrs, asked })
    }

    /// Waits until the dashboard has asked each.
    pub async fn until_asked(&self) -> anyhow::Result<()> {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let asked = self
                .asked
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .len();
            if asked == self.addrs.len() {
                return Ok(());
            }
            anyhow::ensure!(Instant::now() < deadline, "{asked} servers were asked");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

async fn serve(mut stream: TcpStream, info: &str, on_info: impl Fn()) -> anyhow::Result<()> {
    let mut buf = BytesMut::new();
    let mut scanner = RequestScanner::new(Limits::default());
    loop {
        while let Some(len) = scanner.scan(&buf).context("read a request")? {
            scanner.reset();
            let request = String::from_utf8_lossy(&buf.split_to(len)).to_ascii_uppercase();
            let reply = if request.contains("\r\nINFO\r\n") {
                on_info();
                format!("${}\r\n{info}\r\n", info.len())
            } else if request.contains("\r\nCONFIG\r\n") {
                "*2\r\n$9\r\nmaxmemory\r\n$10\r\n1073741824\r\n".to_owned()
            } else if request.contains("\r\nHELLO\r\n") {
                "-ERR unknown command 'HELLO'\r\n".to_owned()
            } else {
                "+OK\r\n".to_owned()
            };
            stream.write_all(reply.as_bytes()).await?;
        }
        if stream.read_buf(&mut buf).await? == 0 {
            return Ok(());
        }
    }
}

/// As long as that of a real server, with figures that change in no test.
fn info(number: usize) -> String {
    let mut info = format!(
        "# Server\r\nredis_version:6.2.14\r\nredis_mode:standalone\r\nrun_id:{number:040x}\r\n\
         # Replication\r\nrole:master\r\nconnected_slaves:1\r\nmaster_repl_offset:{number}\r\n\
         # Memory\r\nused_memory:{number}\r\nused_memory_rss:{number}\r\nmaxmemory:1073741824\r\n\
         # Keyspace\r\ndb0:keys=1000,expires=0,avg_ttl=0\r\n# Others\r\n"
    );
    for field in 0..110 {
        info.push_str(&format!(
            "a_field_of_information_{field}:{}\r\n",
            number * field
        ));
    }
    info
}
