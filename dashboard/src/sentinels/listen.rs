//! Listening to each sentinel: the channels for speed, a list every second for what they lost.

use std::sync::Arc;
use std::time::Duration;

use codis_core::addr::Addr;
use codis_core::backoff::Backoff;
use codis_core::epoch::Epoch;
use codis_core::paths;
use codis_core::topology::{self, Topology};
use codis_topom::adopt::StockMaster;
use futures_util::StreamExt as _;

use super::{handle_answer, handle_topology};
use crate::core::Core;
use crate::keyed::Keyed;
use crate::peer::{self, Error, Fields, Peer};

/// How often a sentinel is asked for its list.
const LIST_EVERY: Duration = Duration::from_secs(1);
/// How long the list may take.
const LIST_MAX: Duration = Duration::from_secs(1);
/// Pauses between attempts to connect.
const RETRY_MIN: Duration = Duration::from_millis(100);
/// The longest of them.
const RETRY_MAX: Duration = Duration::from_secs(2);
/// What a stock sentinel publishes when a master changed.
const SWITCH_MASTER: &str = "+switch-master";

/// Listens to every sentinel on record.
pub async fn listen_all(core: Arc<Core>) {
    let mut tasks = Keyed::default();
    let mut views = core.state.subscribe();
    loop {
        let servers = views.borrow_and_update().cluster.sentinel().servers.clone();
        core.belief.retain(&servers);
        tasks.update(servers, |addr| tokio::spawn(listen(core.clone(), addr)));
        if views.changed().await.is_err() {
            return;
        }
    }
}

/// Listens to one sentinel for ever.
async fn listen(core: Arc<Core>, addr: String) {
    let seed = addr
        .bytes()
        .fold(0u64, |seed, byte| seed.wrapping_mul(31) ^ u64::from(byte));
    let mut backoff = Backoff::new(RETRY_MIN, RETRY_MAX, seed);
    let mut said = false;
    loop {
        let mut heard = false;
        let Err(error) = session(&core, &addr, &mut heard).await else {
            continue;
        };
        if heard {
            backoff.reset();
            said = false;
        }
        if !said {
            tracing::warn!(sentinel = addr, %error, "sentinel lost");
            said = true;
        }
        tokio::time::sleep(backoff.next_delay()).await;
    }
}

/// One connection to its end.
async fn session(core: &Arc<Core>, addr: &str, heard: &mut bool) -> Result<(), Error> {
    let subscription = peer::subscribe(addr, &[topology::CHANNEL, SWITCH_MASTER]).await?;
    let (_keep, mut messages) = subscription.split();
    let mut peer = Peer::connect(addr, "", LIST_MAX).await?;
    let mut tick = tokio::time::interval(LIST_EVERY);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            message = messages.next() => {
                let Some(message) = message else {
                    let reason = "the subscription ended".to_owned();
                    return Err(Error::Broken { addr: addr.to_owned(), reason });
                };
                if message.get_channel_name() == topology::CHANNEL {
                    let text: String = message.get_payload().unwrap_or_default();
                    if let Some(record) = peer::parse_topology(&text) {
                        handle_topology(core, &record).await;
                    }
                } else {
                    list(core, addr, &mut peer).await?;
                }
            }
            _ = tick.tick() => {
                list(core, addr, &mut peer).await?;
                if !*heard {
                    tracing::info!(sentinel = addr, "sentinel heard");
                    *heard = true;
                }
            }
        }
    }
}

/// Asks for the whole list: with `SENTINEL TOPOLOGY`, or as a stock sentinel understands it.
async fn list(core: &Arc<Core>, addr: &str, peer: &mut Peer) -> Result<(), Error> {
    let product = &core.settings.product_name;
    match peer.topology("*").await {
        Ok(records) => {
            for record in &records {
                handle_topology(core, record).await;
            }
            let masters = records
                .iter()
                .filter_map(|record| from_record(product, record))
                .collect();
            handle_answer(core, addr, masters).await;
        }
        Err(error) if error.is_refusal() => {
            let masters = peer.masters().await?;
            let masters = masters
                .iter()
                .filter_map(|fields| from_fields(product, fields))
                .collect();
            handle_answer(core, addr, masters).await;
        }
        Err(error) => return Err(error),
    }
    Ok(())
}

fn from_record(product: &str, record: &Topology) -> Option<StockMaster> {
    Some(StockMaster {
        group: paths::monitored_group(product, &record.name)?,
        epoch: record.epoch,
        addr: record.master.to_string(),
        run_id: record.run_id.clone(),
        failing_over: false,
    })
}

fn from_fields(product: &str, fields: &Fields) -> Option<StockMaster> {
    let port = fields.get("port")?.parse().ok()?;
    let flags = fields.get("flags").map_or("", String::as_str);
    Some(StockMaster {
        group: paths::monitored_group(product, fields.get("name")?)?,
        epoch: Epoch(fields.get("config-epoch")?.parse().ok()?),
        addr: Addr::new(fields.get("ip")?.as_str(), port).to_string(),
        run_id: fields.get("runid").cloned().unwrap_or_default(),
        failing_over: flags.split(',').any(|flag| flag == "failover_in_progress"),
    })
}
