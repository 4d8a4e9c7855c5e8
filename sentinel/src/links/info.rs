//! Reading the text of INFO.

use codis_core::addr::Addr;
use codis_sentinel_proto::info::{Info, Role};

/// Priority of a replica that does not say.
const PRIORITY_DEFAULT: u32 = 100;

/// Reads the lines that a sentinel looks at; the rest is kept as text.
pub fn parse(text: &str) -> Info {
    let mut info = Info {
        priority: PRIORITY_DEFAULT,
        announced: true,
        text: text.to_owned(),
        ..Info::default()
    };
    let (mut master_host, mut master_port) = (None, None);
    let (mut replica_offset, mut master_offset) = (None, None);
    for line in text.lines() {
        let Some((key, value)) = line.trim_end().split_once(':') else {
            continue;
        };
        match key {
            "run_id" => info.run_id = value.to_owned(),
            "role" if value == "slave" => info.role = Role::Replica,
            "role" => info.role = Role::Master,
            "master_host" => master_host = Some(value),
            "master_port" => master_port = value.parse().ok(),
            "master_link_status" => info.master_link_up = value == "up",
            "master_link_down_since_seconds" => {
                let seconds: i64 = value.parse().unwrap_or(0);
                info.master_link_down_ms = seconds.saturating_mul(1000);
            }
            "slave_priority" => info.priority = value.parse().unwrap_or(PRIORITY_DEFAULT),
            "slave_repl_offset" => replica_offset = value.parse().ok(),
            "master_repl_offset" => master_offset = value.parse().ok(),
            "replica_announced" => info.announced = value != "0",
            _ => info.replicas.extend(replica(key, value)),
        }
    }
    info.master = master_host.zip(master_port).map(|(h, p)| Addr::new(h, p));
    let own = match info.role {
        Role::Master => master_offset,
        Role::Replica => replica_offset.or(master_offset),
    };
    info.offset = own.unwrap_or(0);
    info
}

/// The address in a line like `slave0:ip=127.0.0.1,port=6380,state=online`, or in its older form
/// `slave0:127.0.0.1,6380,online`.
fn replica(key: &str, value: &str) -> Option<Addr> {
    let number = key.strip_prefix("slave")?;
    if number.is_empty() || !number.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let field = |name: &str| {
        let mut pairs = value.split(',').filter_map(|pair| pair.split_once('='));
        pairs.find(|(k, _)| *k == name).map(|(_, v)| v)
    };
    let (host, port) = if value.contains('=') {
        (field("ip")?, field("port")?)
    } else {
        let mut parts = value.split(',');
        (parts.next()?, parts.next()?)
    };
    (!host.is_empty()).then_some(Addr::new(host, port.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_master_lists_its_replicas() {
        let info = parse(
            "# Server\r\nrun_id:abc\r\nrole:master\r\nconnected_slaves:2\r\n\
             slave0:ip=127.0.0.1,port=6380,state=online,offset=10,lag=0\r\n\
             slave1:127.0.0.2,6381,online\r\nslave_bad:x\r\nmaster_repl_offset:42\r\n",
        );
        assert_eq!(info.run_id, "abc");
        assert_eq!(info.role, Role::Master);
        let replicas = ["127.0.0.1:6380", "127.0.0.2:6381"].map(|a| a.parse::<Addr>().unwrap());
        assert_eq!(info.replicas, replicas);
        assert_eq!(
            (info.offset, info.priority, info.announced),
            (42, 100, true)
        );
    }

    #[test]
    fn a_replica_tells_of_its_master() {
        let info = parse(
            "role:slave\r\nmaster_host:127.0.0.1\r\nmaster_port:6379\r\nmaster_link_status:down\r\n\
             master_link_down_since_seconds:-1\r\nslave_repl_offset:7\r\nslave_priority:0\r\n\
             replica_announced:0\r\nmaster_repl_offset:9\r\n",
        );
        assert_eq!(info.role, Role::Replica);
        assert_eq!(info.master.unwrap().to_string(), "127.0.0.1:6379");
        assert_eq!(info.master_link_down_ms, -1000);
        assert_eq!((info.offset, info.priority, info.announced), (7, 0, false));
        assert!(!info.master_link_up);
    }
}
