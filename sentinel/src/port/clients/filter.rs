//! Which clients a CLIENT KILL means.

use super::Client;
use crate::pubsub::SessionId;

/// What Redis calls the type of a client.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Type {
    /// One that asks.
    Normal,
    /// One that subscribed.
    PubSub,
    /// A replica; a sentinel has none.
    Replica,
    /// A master; a sentinel has none.
    Master,
}

impl Type {
    /// The type of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        match name.to_ascii_lowercase().as_str() {
            "normal" => Some(Self::Normal),
            "pubsub" => Some(Self::PubSub),
            "replica" | "slave" => Some(Self::Replica),
            "master" => Some(Self::Master),
            _ => None,
        }
    }

    /// The type of a client.
    pub fn of(client: &Client) -> Self {
        if client.subscriptions.all() > 0 {
            Self::PubSub
        } else {
            Self::Normal
        }
    }
}

/// Conditions, of which all must hold.
#[derive(Debug, Default)]
pub struct Filter {
    /// Its number.
    pub id: Option<SessionId>,
    /// The address of the peer.
    pub addr: Option<String>,
    /// The local address.
    pub local: Option<String>,
    /// Its type.
    pub kind: Option<Type>,
    /// Its user.
    pub user: Option<String>,
    /// Seconds for which it is connected, at least.
    pub age_min: u64,
    /// Not whoever asks.
    pub skip_own: bool,
}

impl Filter {
    /// Whether a session is meant by the session `own`.
    pub fn selects(&self, id: SessionId, client: &Client, own: SessionId) -> bool {
        let Self {
            id: wanted,
            addr,
            local,
            kind,
            user,
            age_min,
            skip_own,
        } = self;
        wanted.is_none_or(|wanted| wanted == id)
            && addr.as_ref().is_none_or(|addr| *addr == client.ends.addr)
            && local.as_ref().is_none_or(|addr| *addr == client.ends.local)
            && kind.is_none_or(|kind| kind == Type::of(client))
            && user.as_ref().is_none_or(|user| *user == client.user)
            && client.since.elapsed().as_secs() >= *age_min
            && !(*skip_own && id == own)
    }
}
