//! A look of our own at servers that the dashboard cannot reach.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// How long a server may take to answer.
const ANSWER_MAX: Duration = Duration::from_secs(1);
/// How often it is asked before it counts as silent.
const TRIES: u32 = 2;

/// Whether each server answered us, whatever it said.
pub type Witnessed = BTreeMap<String, bool>;

/// Asks all `servers` at once.
pub async fn ask(servers: impl IntoIterator<Item = String>) -> Witnessed {
    let mut asked = JoinSet::new();
    for addr in servers {
        asked.spawn(async move {
            let answers = answers(&addr).await;
            (addr, answers)
        });
    }
    asked.join_all().await.into_iter().collect()
}

async fn answers(addr: &str) -> bool {
    for _ in 0..TRIES {
        if let Ok(Ok(true)) = tokio::time::timeout(ANSWER_MAX, ping(addr)).await {
            return true;
        }
    }
    false
}

/// A server that wants a password, or loads its data, lives too: any reply of Redis will do.
async fn ping(addr: &str) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect(addr).await?;
    stream.write_all(b"*1\r\n$4\r\nPING\r\n").await?;
    let kind = stream.read_u8().await?;
    Ok(matches!(kind, b'+' | b'-'))
}
