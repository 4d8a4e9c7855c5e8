//! Asks the servers of a promotion what they are.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::time::Duration;

use codis_core::addr::Addr;
use codis_core::time::Time;
use codis_runtime::peer::{Error, Fields, Peer, master_of};
use codis_topom::inquiry::{Effect, Follows, Inquiry, Sight, Told};
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::core::Core;
use crate::push::sleep_until;

/// How long a server may take to answer.
const ANSWER_MAX: Duration = Duration::from_secs(1);

/// What a server says of itself.
pub async fn info(core: &Core, addr: &str) -> Result<Fields, Error> {
    Peer::connect(addr, &core.settings.product_auth, ANSWER_MAX)
        .await?
        .info()
        .await
}

/// Asks until the answer is known; `begin` is told the time at which that begins.
pub async fn inquire(
    core: &Core,
    master: &str,
    begin: impl FnOnce(Time) -> Inquiry,
) -> Result<(), String> {
    let origin = Instant::now();
    let now = || Time::from_origin(origin.elapsed());
    let mut inquiry = begin(now());
    let mut asker = Asker {
        core,
        master,
        peers: BTreeMap::new(),
    };
    loop {
        match inquiry.poll_effect() {
            Some(Effect::Knock(addr)) => {
                let sight = match knock(&addr).await {
                    Ok(()) => Sight::Unknown("it was not asked".to_owned()),
                    Err(sight) => sight,
                };
                inquiry.handle_answer(now(), sight);
            }
            Some(Effect::Ask(addr)) => {
                let sight = asker.ask(&addr).await;
                inquiry.handle_answer(now(), sight);
            }
            Some(Effect::Done(outcome)) => return outcome,
            None => {
                let Some(at) = inquiry.poll_timeout() else {
                    return Err("the inquiry ended without an answer".to_owned());
                };
                sleep_until(Some(origin + at.since_origin())).await;
                inquiry.handle_timeout(now());
            }
        }
    }
}

/// Keeps the connections of those that answered.
struct Asker<'a> {
    core: &'a Core,
    master: &'a str,
    peers: BTreeMap<String, Peer>,
}

impl Asker<'_> {
    async fn ask(&mut self, addr: &str) -> Sight {
        let kept = self.peers.remove(addr);
        if kept.is_none()
            && let Err(sight) = knock(addr).await
        {
            return sight;
        }
        let asked = async {
            let mut peer = match kept {
                Some(peer) => peer,
                None => Peer::connect(addr, &self.core.settings.product_auth, ANSWER_MAX).await?,
            };
            let info = peer.info().await?;
            Ok::<_, Error>((peer, info))
        };
        match asked.await {
            Ok((peer, info)) => {
                self.peers.insert(addr.to_owned(), peer);
                Sight::Told(self.told(&info).await)
            }
            Err(error) => Sight::Unknown(error.to_string()),
        }
    }

    async fn told(&self, info: &Fields) -> Told {
        let is = |field: &str, value: &str| info.get(field).is_some_and(|it| it == value);
        let number = |field: &str| info.get(field).and_then(|it| it.parse::<u64>().ok());
        let follows = match master_of(info) {
            None => Follows::Nobody,
            Some(followed) if same_server(&followed, self.master).await => Follows::Master,
            Some(followed) => Follows::Other(followed),
        };
        Told {
            follows,
            linked: is("master_link_status", "up"),
            loading: info.get("loading").is_some_and(|loading| loading != "0"),
            // That of a replica is where it is; the other one it shows is for its own replicas.
            offset: number("slave_repl_offset").or_else(|| number("master_repl_offset")),
        }
    }
}

/// Looks whether anybody listens. Only the word of the host that nobody does is proof that a server
/// takes no writes: whoever does not answer us may answer others.
async fn knock(addr: &str) -> Result<(), Sight> {
    match tokio::time::timeout(ANSWER_MAX, TcpStream::connect(addr)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) if error.kind() == ErrorKind::ConnectionRefused => Err(Sight::Gone),
        Ok(Err(error)) => Err(Sight::Unknown(format!("{addr}: {error}"))),
        Err(_) => Err(Sight::Unknown(format!("{addr}: no answer in time"))),
    }
}

/// Whether two addresses lead to the same place; a replica may know its master by another name.
async fn same_server(one: &str, other: &str) -> bool {
    if one == other {
        return true;
    }
    let (Ok(one), Ok(other)) = (one.parse::<Addr>(), other.parse::<Addr>()) else {
        return false;
    };
    let resolve = |addr: Addr| async move {
        let found = tokio::net::lookup_host((addr.host().to_owned(), addr.port())).await;
        found.map(|all| all.collect::<Vec<_>>()).unwrap_or_default()
    };
    let both = async { (resolve(one).await, resolve(other).await) };
    let found = tokio::time::timeout(ANSWER_MAX, both).await;
    found.is_ok_and(|(one, other)| one.iter().any(|addr| other.contains(addr)))
}
