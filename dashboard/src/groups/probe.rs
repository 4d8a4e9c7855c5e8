//! Looking at a server before it joins a group.
//!
//! A server that is added by mistake is a master whose keys a sync deletes, a sentinel that is told
//! to follow somebody, or a server that two products write to. So it is asked what it is, and each
//! thing found against it has a name, a weight and a next step. What cannot work is refused; what
//! an operator may have meant takes `?force=1`; the rest is a warning beside the answer.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use codis_core::addr::Addr;
use codis_core::model::Group;
use codis_runtime::peer::{Error, Fields, Peer, master_of};
use codis_topom::Cluster;
use tokio::net::TcpStream;

use crate::core::{Core, Failure};

/// How long a new server may take to answer.
const ANSWER_MAX: Duration = Duration::from_secs(1);
/// How long the store may take to tell of other products.
const PRODUCTS_MAX: Duration = Duration::from_secs(2);
/// So many slots with unexpected keys are named.
const SAMPLE_MAX: usize = 5;

/// What speaks against a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// It does not speak as a Redis server does.
    NotRedis {
        /// What was wrong with its answer.
        why: String,
    },
    /// It is a sentinel.
    Sentinel,
    /// It is a node of Redis Cluster and answers for its own slots alone.
    ClusterMode,
    /// It does not take the password of the product.
    WrongPassword {
        /// What it said.
        why: String,
    },
    /// It is a server of the product, by another address.
    SameServer {
        /// The address on record.
        addr: String,
        /// The group that has it.
        group: u32,
    },
    /// Another product has it.
    OtherProduct {
        /// The product.
        product: String,
        /// The group there.
        group: u32,
    },
    /// It could not be found out whether another product has it.
    ProductsUnknown {
        /// Why.
        why: String,
    },
    /// It follows a master that is not of the group.
    ReplicaOf {
        /// That master.
        master: String,
    },
    /// It is loading its data.
    Loading,
    /// It holds keys that nobody will read there, or that the first sync deletes.
    UnexpectedKeys {
        /// How many.
        keys: u64,
        /// Some of the slots that they are in, when the server tells.
        slots: Vec<u16>,
        /// Another server is the group's master already.
        joins: bool,
    },
}

/// What a finding means for the one who asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// He is told.
    Warn,
    /// He must say that he means it.
    Force,
    /// It cannot work.
    Refuse,
}

impl Finding {
    /// How much it weighs.
    pub const fn weight(&self) -> Weight {
        match self {
            Self::NotRedis { .. }
            | Self::Sentinel
            | Self::ClusterMode
            | Self::WrongPassword { .. } => Weight::Refuse,
            Self::SameServer { .. }
            | Self::OtherProduct { .. }
            | Self::ProductsUnknown { .. }
            | Self::ReplicaOf { .. }
            | Self::Loading => Weight::Force,
            Self::UnexpectedKeys { .. } => Weight::Warn,
        }
    }

    /// What was found and what to do about it.
    fn text(&self, group: u32) -> String {
        match self {
            Self::NotRedis { why } => {
                format!("it is not a Redis server ({why}): check the address")
            }
            Self::Sentinel => "it is a sentinel: add it to the sentinels (sentinels/add, \
                codis-admin --sentinel-add) and here the address of a Redis server"
                .to_owned(),
            Self::ClusterMode => "it runs in cluster mode: restart it with cluster-enabled no, \
                with data that belongs to no cluster"
                .to_owned(),
            Self::WrongPassword { why } => format!(
                "it refuses the password of the product ({why}): set requirepass there to \
                 product_auth of dashboard.toml, both or none"
            ),
            Self::SameServer { addr, group } => format!(
                "it is server-[{addr}] of group-[{group}] by another address: remove that first \
                 (group/del)"
            ),
            Self::OtherProduct { product, group } => format!(
                "it belongs to group-[{group}] of product [{product}] in the same store: remove \
                 it there first"
            ),
            Self::ProductsUnknown { why } => {
                format!("the store does not tell whether another product has it ({why}): try again")
            }
            Self::ReplicaOf { master } => format!(
                "it follows {master}, which group-[{group}] doesn't have: add that server first, \
                 or run SLAVEOF NO ONE on the new one"
            ),
            Self::Loading => "it is loading its data: try again when it has done so".to_owned(),
            Self::UnexpectedKeys { keys, slots, joins } => {
                let slots: Vec<String> = slots.iter().map(u16::to_string).collect();
                let at = match slots.as_slice() {
                    [] => String::new(),
                    some => format!(" (slots {}, ..)", some.join(", ")),
                };
                if *joins {
                    format!(
                        "it holds {keys} keys of its own{at}: a sync action deletes them; save \
                         them first if they matter"
                    )
                } else {
                    format!(
                        "it holds {keys} keys{at} of slots that group-[{group}] doesn't own: \
                         nobody reads them there; assign those slots to the group or delete them"
                    )
                }
            }
        }
    }
}

/// All that speaks against a server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Probe {
    /// In no order.
    pub findings: Vec<Finding>,
}

impl Probe {
    /// The warnings, when the server may be added; `force` says that the operator means it.
    ///
    /// # Errors
    /// It cannot be added, or takes `force`.
    pub fn judge(&self, addr: &str, group: u32, force: bool) -> Result<Vec<String>, Failure> {
        let worst = self.findings.iter().max_by_key(|finding| finding.weight());
        let line = |text: &str| format!("server-[{addr}] can't be added: {text}");
        if let Some(worst) = worst {
            match worst.weight() {
                Weight::Refuse => return Err(Failure::new(line(&worst.text(group)))),
                Weight::Force if !force => {
                    let text = worst.text(group);
                    return Err(Failure::new(line(&format!(
                        "{text}; or add it all the same, with ?force=1 (codis-admin: --force)"
                    ))));
                }
                Weight::Force | Weight::Warn => {}
            }
        }
        let told = |finding: &Finding| format!("server-[{addr}]: {}", finding.text(group));
        Ok(self.findings.iter().map(told).collect())
    }
}

/// Asks a server that is to join `group` what it is.
///
/// # Errors
/// It does not answer, in its own words or those of the network.
pub async fn probe(core: &Core, group: u32, addr: &str) -> Result<Probe, Failure> {
    let asked = tokio::time::timeout(ANSWER_MAX, ask(core, addr));
    let asked = asked
        .await
        .unwrap_or_else(|_| Err(Failure::new(format!("{addr}: no answer in time"))))?;
    let mut findings = Vec::new();
    match asked {
        Asked::Wrong(finding) => findings.push(finding),
        Asked::Server { info, keys } => {
            let cluster = core.state.cluster();
            let same = info
                .get("run_id")
                .and_then(|run_id| core.polls.server_of(run_id));
            let same = same.filter(|known| known != addr).and_then(|known| {
                let group = cluster.find_server(&known)?.0.id;
                Some(Finding::SameServer { addr: known, group })
            });
            findings.extend(same);
            findings.extend(judge_info(&cluster, group, &info, &keys));
            findings.extend(other_product(core, addr).await);
        }
    }
    Ok(Probe { findings })
}

enum Asked {
    Wrong(Finding),
    Server { info: Fields, keys: Keys },
}

/// The keys of a server.
#[derive(Debug, PartialEq, Eq)]
enum Keys {
    /// By slot, from a server that counts them so.
    BySlot(BTreeMap<u16, u64>),
    /// Together, from one that does not.
    Total(u64),
}

async fn ask(core: &Core, addr: &str) -> Result<Asked, Failure> {
    // Whoever listens there is judged by what it says; that nobody does is no finding.
    let parsed: Addr = addr
        .parse()
        .map_err(|error| Failure::new(format!("{error}")))?;
    let connected = TcpStream::connect((parsed.host(), parsed.port())).await;
    drop(connected.map_err(|error| Failure::new(format!("{addr}: {error}")))?);
    let auth = &core.settings.product_auth;
    let (mut peer, info) = match greet(addr, auth).await {
        Ok(greeted) => greeted,
        Err(Error::WrongPassword { reason, .. }) => {
            return Ok(Asked::Wrong(without_password(addr, reason).await));
        }
        Err(Error::TimedOut { addr }) => return Err(Error::TimedOut { addr }.into()),
        Err(error) => {
            return Ok(Asked::Wrong(Finding::NotRedis {
                why: error.to_string(),
            }));
        }
    };
    if let Some(finding) = kind(&info) {
        return Ok(Asked::Wrong(finding));
    }
    let counted: Result<Vec<(u16, u64)>, Error> = peer.call(&redis::cmd("SLOTSINFO")).await;
    let keys = match counted {
        Ok(counted) => Keys::BySlot(counted.into_iter().collect()),
        Err(_) => Keys::Total(total_keys(&info)),
    };
    Ok(Asked::Server { info, keys })
}

async fn greet(addr: &str, auth: &str) -> Result<(Peer, Fields), Error> {
    let mut peer = Peer::connect(addr, auth, ANSWER_MAX).await?;
    let info = peer.info().await?;
    Ok((peer, info))
}

/// A sentinel has no password as a rule, so it is recognised without one.
async fn without_password(addr: &str, why: String) -> Finding {
    match greet(addr, "").await {
        Ok((_, info)) => kind(&info).unwrap_or(Finding::WrongPassword { why }),
        Err(_) => Finding::WrongPassword { why },
    }
}

/// What the server is, if not a Redis server as a group needs it.
fn kind(info: &Fields) -> Option<Finding> {
    let field = |name: &str| info.get(name).map_or("", String::as_str);
    match field("redis_mode") {
        "sentinel" => Some(Finding::Sentinel),
        "cluster" => Some(Finding::ClusterMode),
        _ if field("cluster_enabled") == "1" => Some(Finding::ClusterMode),
        _ if field("redis_version").is_empty() || field("role").is_empty() => {
            Some(Finding::NotRedis {
                why: "its INFO names no redis_version and no role".to_owned(),
            })
        }
        _ => None,
    }
}

/// The keys of all databases, as `INFO` counts them.
fn total_keys(info: &Fields) -> u64 {
    let database = |(name, value): (&String, &String)| {
        name.strip_prefix("db")?.parse::<u32>().ok()?;
        let counted = value.split(',').find_map(|part| part.strip_prefix("keys="));
        counted?.parse::<u64>().ok()
    };
    info.iter().filter_map(database).sum()
}

/// What its `INFO` and its keys say against it.
fn judge_info(cluster: &Cluster, group: u32, info: &Fields, keys: &Keys) -> Vec<Finding> {
    let mut findings = Vec::new();
    if info.get("loading").is_some_and(|loading| loading != "0") {
        findings.push(Finding::Loading);
    }
    let record = cluster.group(group).ok();
    let has = |addr: &str| {
        record.is_some_and(|group| group.servers.iter().any(|server| server.addr == addr))
    };
    let joins = record.is_some_and(|group| !group.servers.is_empty());
    match master_of(info) {
        Some(master) if has(&master) => return findings,
        Some(master) => findings.push(Finding::ReplicaOf { master }),
        None => {}
    }
    let owned: BTreeSet<u16> = cluster.slots_of(group).map(|slot| slot.id).collect();
    let (keys, slots) = match keys {
        Keys::Total(keys) if joins || owned.is_empty() => (*keys, Vec::new()),
        Keys::Total(_) => (0, Vec::new()),
        Keys::BySlot(counted) => {
            let stray = counted
                .iter()
                .filter(|(slot, _)| joins || !owned.contains(slot));
            let slots = stray.clone().map(|(slot, _)| *slot);
            (
                stray.clone().map(|(_, keys)| keys).sum(),
                slots.take(SAMPLE_MAX).collect(),
            )
        }
    };
    if keys > 0 {
        findings.push(Finding::UnexpectedKeys { keys, slots, joins });
    }
    findings
}

/// The group of another product in the same store that has the server.
async fn other_product(core: &Core, addr: &str) -> Option<Finding> {
    let read = tokio::time::timeout(PRODUCTS_MAX, core.store.other_groups()).await;
    let why = match read {
        Ok(Ok(groups)) => {
            let has = |group: &Group| group.servers.iter().any(|server| server.addr == addr);
            let found = groups.into_iter().find(|(_, group)| has(group));
            return found.map(|(product, group)| Finding::OtherProduct {
                product,
                group: group.id,
            });
        }
        Ok(Err(error)) => format!("{error}: {}", error.cause),
        Err(_) => "no answer in time".to_owned(),
    };
    Some(Finding::ProductsUnknown { why })
}

#[cfg(test)]
mod tests;
