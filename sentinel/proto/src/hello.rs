//! The hello that sentinels exchange about a master: eight comma-separated fields on the channel
//! `__sentinel__:hello` (Redis Sentinel documentation, "Sentinels and replicas auto discovery").

use std::fmt;

use codis_core::addr::Addr;
use codis_core::epoch::Epoch;

use crate::ids::SentinelId;

/// The channel.
pub const CHANNEL: &str = "__sentinel__:hello";

/// One hello.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hello {
    /// Where the speaker listens.
    pub from: Addr,
    /// The speaker.
    pub id: SentinelId,
    /// The speaker's current epoch.
    pub current_epoch: Epoch,
    /// The monitored name.
    pub master_name: String,
    /// The master's address.
    pub master: Addr,
    /// The config epoch of that address.
    pub config_epoch: Epoch,
}

impl Hello {
    /// Reads a payload; `None` unless it has eight fields of the right kinds.
    pub fn parse(payload: &str) -> Option<Self> {
        let fields: Vec<&str> = payload.split(',').collect();
        let [
            ip,
            port,
            id,
            current_epoch,
            name,
            master_ip,
            master_port,
            config_epoch,
        ] = <[&str; 8]>::try_from(fields).ok()?;
        Some(Self {
            from: Addr::new(ip, port.parse().ok()?),
            id: SentinelId::new(id),
            current_epoch: Epoch(current_epoch.parse().ok()?),
            master_name: name.to_owned(),
            master: Addr::new(master_ip, master_port.parse().ok()?),
            config_epoch: Epoch(config_epoch.parse().ok()?),
        })
    }
}

impl fmt::Display for Hello {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{},{},{},{},{},{},{},{}",
            self.from.host(),
            self.from.port(),
            self.id,
            self.current_epoch,
            self.master_name,
            self.master.host(),
            self.master.port(),
            self.config_epoch
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads_round_trip() {
        let text = "127.0.0.1,26379,4f0a,7,demo-1,127.0.0.2,6379,5";
        assert_eq!(Hello::parse(text).unwrap().to_string(), text);
        assert!(Hello::parse("127.0.0.1,26379,4f0a,7,demo-1,127.0.0.2,6379").is_none());
        assert!(Hello::parse("127.0.0.1,x,4f0a,7,demo-1,127.0.0.2,6379,5").is_none());
    }
}
