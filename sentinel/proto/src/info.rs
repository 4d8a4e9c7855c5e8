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
    /// `loading:1` or `async_loading:1`: what it says of its data is not yet true.
    pub loading: bool,
    /// What it says of its data.
    pub data: Data,
    /// What it says of writes that it refuses or would refuse.
    pub trouble: Trouble,
    /// `master_failover_state`.
    pub hand_over: HandOver,
    /// The whole text, for INFO-CACHE.
    pub text: String,
}

/// What a server says of its data.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Data {
    /// `master_replid`, the history that its data belongs to; empty when absent.
    pub history: String,
    /// `master_replid2`, the history that it continues; empty when there is none.
    pub history_before: String,
    /// `second_repl_offset` less one: how much of `history_before` it has.
    pub offset_before: u64,
    /// `master_repl_offset`: how much of `history` it has. A replica that waits for a full sync
    /// keeps it, while its `slave_repl_offset` starts anew.
    pub offset: u64,
    /// The keys of all databases; `None` when there is no keyspace section.
    pub keys: Option<u64>,
    /// Those of them that expire some time.
    pub expires: u64,
}

/// What a server says of writes that it refuses, or would refuse as a master.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Trouble {
    /// `aof_enabled:1` and `aof_last_write_status:err`.
    pub append_failed: bool,
    /// `rdb_last_bgsave_status:err`. Whether writes stop for it, PING tells.
    pub snapshot_failed: bool,
    /// More memory used than `maxmemory`, with a policy that evicts nothing.
    pub out_of_memory: bool,
}

/// Whether a server can hand over to a replica of its own.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum HandOver {
    /// It does not tell: it is older than Redis 6.2.
    #[default]
    Unsupported,
    /// `no-failover`.
    Idle,
    /// `waiting-for-sync` or `failover-in-progress`.
    UnderWay,
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
                "master_failover_state" if value == "no-failover" => {
                    info.hand_over = HandOver::Idle;
                }
                "master_failover_state" => info.hand_over = HandOver::UnderWay,
                "replica_announced" => info.announced = value != "0",
                "loading" | "async_loading" => info.loading |= value == "1",
                other => info.replicas.extend(replica_line(other, value)),
            }
        }
        if info.role == Role::Replica {
            info.master = host.zip(port).map(|(host, port)| Addr::new(host, port));
        }
        (info.data, info.trouble) = (Data::parse(text), Trouble::parse(text));
        info.offset = match info.role {
            Role::Master => master_offset,
            Role::Replica => replica_offset,
        };
        info
    }
}

/// The lines of INFO that have a value.
fn fields(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.lines()
        .filter_map(|line| line.trim_end().split_once(':'))
}

/// What `master_replid2` says when there is none.
fn is_history(id: &str) -> bool {
    id.bytes().any(|byte| byte != b'0')
}

impl Data {
    fn parse(text: &str) -> Self {
        let mut data = Self::default();
        if text.lines().any(|line| line.trim_end() == "# Keyspace") {
            data.keys = Some(0);
        }
        for (key, value) in fields(text) {
            match key {
                "master_replid" if is_history(value) => value.clone_into(&mut data.history),
                "master_replid2" if is_history(value) => value.clone_into(&mut data.history_before),
                "second_repl_offset" => {
                    let next: i64 = value.parse().unwrap_or(0);
                    data.offset_before = next.saturating_sub(1).max(0).unsigned_abs();
                }
                "master_repl_offset" => data.offset = value.parse().unwrap_or(0),
                other => data.count(other, value),
            }
        }
        data
    }

    /// Adds `db0:keys=3,expires=1,...`.
    fn count(&mut self, key: &str, value: &str) {
        let number = key.strip_prefix("db").unwrap_or_default();
        if number.is_empty() || !number.bytes().all(|b| b.is_ascii_digit()) {
            return;
        }
        let field = |name| {
            let mut all = value.split(',');
            let text = all.find_map(|field| field.strip_prefix(name));
            text.and_then(|text| text.parse().ok()).unwrap_or(0)
        };
        self.keys = Some(self.keys.unwrap_or(0).saturating_add(field("keys=")));
        self.expires = self.expires.saturating_add(field("expires="));
    }
}

impl Trouble {
    fn parse(text: &str) -> Self {
        let (mut appends, mut append_failed, mut snapshot_failed) = (false, false, false);
        let (mut used, mut uncounted, mut limit, mut evicts) = (0_u64, 0, 0, false);
        for (key, value) in fields(text) {
            let bytes = || value.parse().unwrap_or(0);
            match key {
                "aof_enabled" => appends = value == "1",
                "aof_last_write_status" => append_failed = value == "err",
                "rdb_last_bgsave_status" => snapshot_failed = value == "err",
                "used_memory" => used = bytes(),
                "mem_not_counted_for_evict" => uncounted = bytes(),
                "maxmemory" => limit = bytes(),
                "maxmemory_policy" => evicts = value != "noeviction",
                _ => {}
            }
        }
        Self {
            append_failed: appends && append_failed,
            snapshot_failed,
            out_of_memory: limit > 0 && !evicts && used.saturating_sub(uncounted) > limit,
        }
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
    fn a_server_tells_of_its_data() {
        let info = Info::parse(
            "loading:0\r\nasync_loading:0\r\nmaster_replid:ab\r\nmaster_replid2:cd\r\n\
             master_repl_offset:70\r\nsecond_repl_offset:51\r\n\r\n# Keyspace\r\n\
             db0:keys=5,expires=2,avg_ttl=0\r\ndb7:keys=3,expires=1,avg_ttl=9\r\n",
        );
        let expected = Data {
            history: "ab".into(),
            history_before: "cd".into(),
            offset_before: 50,
            offset: 70,
            keys: Some(8),
            expires: 3,
        };
        assert_eq!((info.data, info.loading), (expected, false));
        let empty =
            Info::parse("loading:1\nmaster_replid2:0000\nsecond_repl_offset:-1\n# Keyspace\n");
        assert_eq!((empty.data.keys, empty.loading), (Some(0), true));
        assert_eq!(empty.data.history_before, "");
        assert_eq!(Info::parse("role:master").data.keys, None);
    }

    #[test]
    fn a_server_tells_why_it_takes_no_writes() {
        let trouble = |text: &str| Info::parse(text).trouble;
        assert!(trouble("aof_enabled:1\naof_last_write_status:err").append_failed);
        assert!(!trouble("aof_enabled:0\naof_last_write_status:err").append_failed);
        assert!(trouble("rdb_last_bgsave_status:err").snapshot_failed);
        let full = "used_memory:90\nmaxmemory:50\nmem_not_counted_for_evict:10\n";
        assert!(trouble(&format!("{full}maxmemory_policy:noeviction")).out_of_memory);
        assert!(!trouble(&format!("{full}maxmemory_policy:allkeys-lru")).out_of_memory);
        assert!(!trouble("used_memory:90\nmaxmemory:0").out_of_memory);
    }

    #[test]
    fn a_server_tells_whether_it_can_hand_over() {
        let told = |text: &str| Info::parse(text).hand_over;
        assert_eq!(told("role:master"), HandOver::Unsupported);
        assert_eq!(told("master_failover_state:no-failover"), HandOver::Idle);
        for state in ["waiting-for-sync", "failover-in-progress"] {
            assert_eq!(
                told(&format!("master_failover_state:{state}")),
                HandOver::UnderWay
            );
        }
    }

    #[test]
    fn nonsense_is_passed_over() {
        let info = Info::parse("slave:1\nslave0:\nslavex:ip=1,port=2\nslave1:ip=h,port=0\nrole\n:");
        assert!(info.replicas.is_empty());
    }
}
