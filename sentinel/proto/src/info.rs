//! The lines of INFO that a sentinel reads.

use codis_core::addr::Addr;

/// What one INFO said.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Info {
    /// `run_id`, empty when absent.
    pub run_id: String,
    /// `role`.
    pub role: Role,
    /// The `slaveN:` lines.
    pub replicas: Vec<Addr>,
    /// `master_host` and `master_port`.
    pub master: Option<Addr>,
    /// `master_link_status:up`.
    pub master_link_up: bool,
    /// `master_link_down_since_seconds` in milliseconds, 0 when absent, -1000 when never up.
    pub master_link_down_ms: i64,
    /// `slave_priority`, 100 when absent.
    pub priority: u32,
    /// `slave_repl_offset` of a replica, `master_repl_offset` of a master.
    pub offset: u64,
    /// `replica_announced`, true when absent.
    pub announced: bool,
    /// The whole text, for INFO-CACHE.
    pub text: String,
}

/// The role that a server reports.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Role {
    /// `role:master`.
    #[default]
    Master,
    /// `role:slave`.
    Replica,
}

/// `slave_priority` of a server that does not tell.
const PRIORITY_DEFAULT: u32 = 100;

impl Info {
    /// Reads a reply to INFO. Lines that it does not know, or whose value is not of the expected
    /// kind, are passed over: servers of every version say more than is asked for here.
    pub fn parse(text: &str) -> Self {
        let mut info = Self {
            priority: PRIORITY_DEFAULT,
            announced: true,
            text: text.to_owned(),
            ..Self::default()
        };
        let (mut host, mut port) = (None, None);
        let (mut master_offset, mut replica_offset) = (0, 0);
        for line in text.lines() {
            let Some((key, value)) = line.trim_end().split_once(':') else {
                continue;
            };
            match key {
                "run_id" => value.clone_into(&mut info.run_id),
                "role" if value == "slave" => info.role = Role::Replica,
                "master_host" => host = Some(value),
                "master_port" => port = value.parse().ok(),
                "master_link_status" => info.master_link_up = value == "up",
                "master_link_down_since_seconds" => {
                    info.master_link_down_ms = value.parse().unwrap_or(0_i64).saturating_mul(1000);
                }
                "slave_priority" => info.priority = value.parse().unwrap_or(PRIORITY_DEFAULT),
                "slave_repl_offset" => replica_offset = value.parse().unwrap_or(0),
                "master_repl_offset" => master_offset = value.parse().unwrap_or(0),
                "replica_announced" => info.announced = value != "0",
                other => info.replicas.extend(replica_line(other, value)),
            }
        }
        if info.role == Role::Replica {
            info.master = host.zip(port).map(|(host, port)| Addr::new(host, port));
        }
        info.offset = match info.role {
            Role::Master => master_offset,
            Role::Replica => replica_offset,
        };
        info
    }
}

/// `slave0:ip=127.0.0.1,port=6380,...`, or `slave0:127.0.0.1,6380,...` of servers before 2.8.
fn replica_line(key: &str, value: &str) -> Option<Addr> {
    let number = key.strip_prefix("slave")?;
    if number.is_empty() || !number.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let mut fields = value.split(',');
    let (ip, port) = if value.contains("ip=") {
        let field = |name| {
            let mut all = value.split(',');
            all.find_map(|field| field.strip_prefix(name))
        };
        (field("ip=")?, field("port=")?)
    } else {
        (fields.next()?, fields.next()?)
    };
    let port = port.parse().ok().filter(|port| *port != 0)?;
    (!ip.is_empty()).then(|| Addr::new(ip, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_master_lists_its_replicas() {
        let info = Info::parse(
            "# Server\r\nrun_id:abc\r\n# Replication\r\nrole:master\r\nconnected_slaves:2\r\n\
             slave0:ip=127.0.0.1,port=6380,state=online,offset=70,lag=0\r\n\
             slave1:10.0.0.9,6381,online\r\nslave_read_repl_offset:1\r\nmaster_repl_offset:70\r\n",
        );
        assert_eq!(info.role, Role::Master);
        assert_eq!(info.run_id, "abc");
        assert_eq!(
            info.replicas,
            [Addr::new("127.0.0.1", 6380), Addr::new("10.0.0.9", 6381)]
        );
        assert_eq!(
            (info.offset, info.priority, info.announced),
            (70, 100, true)
        );
        assert_eq!((info.master, info.master_link_down_ms), (None, 0));
    }

    #[test]
    fn a_replica_tells_whom_it_follows_and_how_far_it_is() {
        let info = Info::parse(
            "role:slave\nmaster_host:127.0.0.2\nmaster_port:6379\nmaster_link_status:down\n\
             master_link_down_since_seconds:-1\nslave_repl_offset:55\nslave_priority:0\n\
             replica_announced:0\nmaster_repl_offset:60\n",
        );
        assert_eq!(info.role, Role::Replica);
        assert_eq!(info.master, Some(Addr::new("127.0.0.2", 6379)));
        assert_eq!(
            (info.master_link_up, info.master_link_down_ms),
            (false, -1000)
        );
        assert_eq!((info.offset, info.priority, info.announced), (55, 0, false));
    }

    #[test]
    fn nonsense_is_passed_over() {
        let info = Info::parse("slave:1\nslave0:\nslavex:ip=1,port=2\nslave1:ip=h,port=0\nrole\n:");
        assert!(info.replicas.is_empty());
    }
}
