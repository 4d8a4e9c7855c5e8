//! Drives a promotion by the dashboard itself.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use codis_core::addr::Addr;
use codis_runtime::host;
use codis_topom::promote::{Effect, Input, Promotion};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::core::{Core, Failure, Settled};
use crate::state::Audit;
use crate::{orders, push};
use codis_runtime::peer::{Error, Fields, Peer, master_of};

/// How long a server may take to answer.
const ANSWER_MAX: Duration = Duration::from_secs(1);
/// How long it may take to change its role and write its config file.
const ORDER_MAX: Duration = Duration::from_secs(3);
/// How long the candidate may take to catch up while its slots are held.
const CATCH_UP_MAX: Duration = Duration::from_secs(2);
/// How often offsets are compared.
const CATCH_UP_EVERY: Duration = Duration::from_millis(10);

/// How long all pushes of a promotion may take together: the caller has an answer within a second,
/// whatever proxy hangs.
const PUSHES_MAX: Duration = push::WAIT_MAX;
/// How long a push may take at least: of proxies that answer at once.
const PUSH_MIN: Duration = Duration::from_millis(100);

/// Does what the promotion says until it is done.
pub async fn run(core: &Arc<Core>, audit: &Audit, mut promotion: Promotion) -> Result<(), Failure> {
    let mut patience = PUSHES_MAX;
    while let Some(effect) = promotion.poll_effect() {
        tracing::debug!(?effect, "promotion");
        let input = match effect {
            Effect::Done(outcome) => {
                return outcome.map_err(|failure| Failure::new(failure.to_string()));
            }
            Effect::Store(step) => {
                let at = host::now_rfc3339();
                let edited = core
                    .state
                    .edit(audit.clone(), move |cluster| step.edit(cluster, &at));
                failed(edited.await.map(drop))
            }
            Effect::Push => {
                let view = core.state.view();
                let slots = view.cluster.slot_ids(promotion.group());
                let (begun, limit) = (Instant::now(), patience.max(PUSH_MIN));
                let pushed = core.fleet.pushed(&slots, view.revision, limit).await;
                patience = patience.saturating_sub(begun.elapsed());
                match Settled::from(pushed).behind {
                    behind if behind.is_empty() => Input::Ok,
                    behind => Input::Partly(behind),
                }
            }
            Effect::Ask { server } => failed(may_live(&server).await),
            Effect::Inspect { candidate, master } => {
                failed(inspect(core, &candidate, &master).await)
            }
            Effect::CatchUp { candidate, master } => {
                failed(catch_up(core, &candidate, &master).await)
            }
            Effect::Promote { server } => failed(follow(core, audit, &server, None).await),
            Effect::Follow { servers, master } => follow_all(core, audit, servers, master).await,
        };
        promotion.handle(input);
    }
    Err(Failure::new("the promotion ended without an outcome"))
}

fn failed<E: std::fmt::Display>(outcome: Result<(), E>) -> Input {
    match outcome {
        Ok(()) => Input::Ok,
        Err(error) => Input::Failed(error.to_string()),
    }
}

/// What a server says of itself.
pub async fn info(core: &Core, addr: &str) -> Result<Fields, codis_runtime::peer::Error> {
    Peer::connect(addr, &core.settings.product_auth, ANSWER_MAX)
        .await?
        .info()
        .await
}

/// Whether a server may take writes from somebody. Only the word of its host that nobody listens is
/// proof that it does not: whoever does not answer us may answer others.
async fn may_live(addr: &str) -> Result<(), Failure> {
    let connected = tokio::time::timeout(ANSWER_MAX, TcpStream::connect(addr)).await;
    match connected {
        Ok(Err(error)) if error.kind() == ErrorKind::ConnectionRefused => {
            Err(Failure::new(format!("server-[{addr}] is dead: {error}")))
        }
        Ok(_) | Err(_) => Ok(()),
    }
}

/// Whether the candidate is alive and has been a replica of the master; with the master alive,
/// whether the link between them is up.
pub async fn inspect(core: &Core, candidate: &str, master: &str) -> Result<(), Failure> {
    let (its, masters) = tokio::join!(info(core, candidate), info(core, master));
    let its = its.map_err(|error| {
        Failure::new(format!("server-[{candidate}] can't be promoted: {error}"))
    })?;
    let refuse = |why: String| {
        Err(Failure::new(format!(
            "server-[{candidate}] can't be promoted: {why}"
        )))
    };
    match master_of(&its) {
        None => {
            return refuse(format!(
                "it is not a replica of server-[{master}] but a master"
            ));
        }
        Some(followed) if !same_server(&followed, master).await => {
            return refuse(format!(
                "it is a replica of {followed} and not of server-[{master}]"
            ));
        }
        Some(_) => {}
    }
    if its.get("loading").is_some_and(|loading| loading != "0") {
        return refuse("it is loading its data".to_owned());
    }
    let up = its
        .get("master_link_status")
        .is_some_and(|status| status == "up");
    match masters {
        Ok(_) if !up => refuse("its link to the master, which is alive, is down".to_owned()),
        Ok(_) => Ok(()),
        Err(error) => {
            tracing::warn!(candidate, master, %error, "promoting while the master does not answer");
            Ok(())
        }
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

/// Waits until the candidate has all that the master has. A master that does not answer has nothing
/// more to give, and a candidate that is a master already was promoted before a restart.
async fn catch_up(core: &Core, candidate: &str, master: &str) -> Result<(), Failure> {
    let deadline = Instant::now() + CATCH_UP_MAX;
    let auth = &core.settings.product_auth;
    let Ok(mut source) = Peer::connect(master, auth, ANSWER_MAX).await else {
        return Ok(());
    };
    let mut replica = Peer::connect(candidate, auth, ANSWER_MAX).await?;
    loop {
        let Ok(ahead) = source.info().await else {
            return Ok(());
        };
        let behind = replica.info().await?;
        if behind.get("role").is_some_and(|role| role == "master") {
            return Ok(());
        }
        let at = |info: &Fields, field: &str| info.get(field).and_then(|n| n.parse::<u64>().ok());
        let (ahead, behind) = (
            at(&ahead, "master_repl_offset"),
            at(&behind, "slave_repl_offset"),
        );
        if ahead.is_some() && behind >= ahead {
            return Ok(());
        }
        if Instant::now() >= deadline {
            let missing = ahead.unwrap_or(0).saturating_sub(behind.unwrap_or(0));
            return Err(Failure::new(format!(
                "server-[{candidate}] did not catch up with server-[{master}] within {} s: \
                 {missing} bytes are missing",
                CATCH_UP_MAX.as_secs()
            )));
        }
        tokio::time::sleep(CATCH_UP_EVERY).await;
    }
}

pub async fn follow(
    core: &Core,
    audit: &Audit,
    server: &str,
    master: Option<&str>,
) -> Result<(), Error> {
    orders::follow(core, audit, server, master, ORDER_MAX).await
}

/// Points all servers at the master, side by side; names those that did not take it.
async fn follow_all(
    core: &Arc<Core>,
    audit: &Audit,
    servers: Vec<String>,
    master: String,
) -> Input {
    let mut orders = JoinSet::new();
    for server in servers {
        let (core, audit, master) = (core.clone(), audit.clone(), master.clone());
        orders.spawn(async move {
            let ordered = follow(&core, &audit, &server, Some(&master)).await;
            (ordered.err(), server)
        });
    }
    let mut refused = Vec::new();
    while let Some(done) = orders.join_next().await {
        if let Ok((Some(_), server)) = done {
            refused.push(server);
        }
    }
    if refused.is_empty() {
        Input::Ok
    } else {
        Input::Partly(refused)
    }
}
