//! A data server that obeys: enough of Redis for a sentinel.

use std::sync::Arc;

use codis_core::addr::Addr;
use codis_sentinel_proto::effect::Command;
use codis_sentinel_proto::info::Info;
use codis_sentinel_proto::{PingReply, Reply, WriteProbe, WriteRefusal};

pub struct Server {
    pub alive: bool,
    pub frozen: bool,
    /// To whom it is handing over.
    pub hands_over: Option<Addr>,
    /// What it answers to the order to hand over: `None` before Redis 6.2.
    pub failover: Option<Result<(), String>>,
    /// It does not give up to hand over by itself.
    pub stuck: bool,
    /// As a replica: it never catches up with its master.
    pub lags: bool,
    /// It obeys no order to become master.
    pub stubborn: bool,
    pub run_id: String,
    pub master: Option<Addr>,
    pub link_up: bool,
    pub offset: u64,
    pub priority: u32,
    pub replicas: Vec<Addr>,
    pub loading: bool,
    /// What a write is answered; it hangs with `Hang`.
    pub writes: WriteProbe,
    /// More lines of INFO.
    pub trouble: String,
    pub link_down_ms: u64,
    pub data: Stored,
}

/// What a server holds.
#[derive(Clone, Default)]
pub struct Stored {
    pub history: String,
    pub history_before: String,
    pub offset_before: u64,
    pub keys: u64,
}

impl Server {
    pub fn new(n: u8, master: Option<Addr>) -> Self {
        Self {
            alive: true,
            frozen: false,
            stubborn: false,
            hands_over: None,
            failover: Some(Ok(())),
            stuck: false,
            lags: false,
            run_id: format!("run{n}"),
            link_up: master.is_some(),
            master,
            offset: 1000,
            priority: 100,
            replicas: Vec::new(),
            loading: false,
            writes: WriteProbe::Accepted,
            trouble: String::new(),
            link_down_ms: 0,
            data: Stored {
                history: "first".into(),
                keys: 100,
                ..Stored::default()
            },
        }
    }

    pub fn pong(command: &Command) -> Reply {
        match command {
            Command::Ping => Reply::Ping(PingReply::Pong),
            Command::Info => Reply::Info(None),
            Command::Publish(_) => Reply::Published(true),
            Command::IsMasterDown { .. } => Reply::MasterDown(None),
            Command::Reconfigure { .. } | Command::HandOver { .. } | Command::AbortHandOver => {
                Reply::Reconfigured(Ok(()))
            }
            Command::Follow { .. } => Reply::Reconfigured(Ok(())),
            Command::ScriptKill => Reply::ScriptKilled,
            Command::WriteProbe => Reply::WriteProbed(WriteProbe::Accepted),
        }
    }

    pub fn execute(&mut self, command: &Command) -> Reply {
        match command {
            Command::WriteProbe => return Reply::WriteProbed(self.writes),
            Command::Ping if self.disk_refuses() => {
                return Reply::Ping(PingReply::Misconf);
            }
            Command::Info => return Reply::Info(Some(Arc::new(Info::parse(&self.info())))),
            Command::Reconfigure { follow: Some(_) } if self.is_full() => {
                let error = "OOM command not allowed when used memory > 'maxmemory'.";
                return Reply::Reconfigured(Err(error.into()));
            }
            Command::Reconfigure { follow: None } if self.stubborn => {}
            Command::AbortHandOver => self.hands_over = None,
            Command::HandOver { to, .. } => match self.failover.clone() {
                Some(Ok(())) if self.replicas.contains(to) => self.hands_over = Some(to.clone()),
                Some(Ok(())) => {
                    return refused("ERR FAILOVER target HOST and PORT is not a replica.");
                }
                Some(Err(error)) => return refused(&error),
                None => return refused("ERR unknown command"),
            },
            Command::Reconfigure { follow } if *follow != self.master => {
                if follow.is_none() {
                    let history = format!("of {}", self.run_id);
                    self.data.history_before = std::mem::replace(&mut self.data.history, history);
                    self.data.offset_before = self.offset;
                }
                self.master.clone_from(follow);
                self.link_up = false;
            }
            Command::Ping
            | Command::Publish(_)
            | Command::IsMasterDown { .. }
            | Command::Reconfigure { .. }
            | Command::ScriptKill => {}
            Command::Follow { master } => {
                self.master = Some(master.clone());
                self.link_up = false;
            }
        }
        Self::pong(command)
    }

    fn info(&self) -> String {
        let state = match (&self.failover, &self.hands_over) {
            (None, _) => "",
            (_, None) => "master_failover_state:no-failover\r\n",
            (_, Some(_)) => "master_failover_state:waiting-for-sync\r\n",
        };
        let common = format!(
            "run_id:{}\r\nslave_priority:{}\r\n{state}",
            self.run_id, self.priority
        );
        let offset = self.offset;
        let data = self.data_info();
        let common = format!("{common}{data}{}", self.trouble);
        match &self.master {
            None => {
                let line = |(n, addr): (usize, &Addr)| {
                    format!(
                        "slave{n}:ip={},port={},state=online\r\n",
                        addr.host(),
                        addr.port()
                    )
                };
                let list: String = self.replicas.iter().enumerate().map(line).collect();
                format!("{common}role:master\r\n{list}master_repl_offset:{offset}\r\n")
            }
            Some(master) => {
                let status = if self.link_up { "up" } else { "down" };
                let (host, port) = (master.host(), master.port());
                let down = self.link_down_ms / 1000;
                let common = format!("{common}master_link_down_since_seconds:{down}\r\n");
                format!(
                    "{common}role:slave\r\nmaster_host:{host}\r\nmaster_port:{port}\r\n\
                     master_link_status:{status}\r\nslave_repl_offset:{offset}\r\n\
                     master_repl_offset:{offset}\r\n"
                )
            }
        }
    }

    /// Only a master refuses PING for its disk.
    fn disk_refuses(&self) -> bool {
        self.master.is_none() && self.writes == WriteProbe::Refused(WriteRefusal::Disk)
    }

    fn is_full(&self) -> bool {
        self.writes == WriteProbe::Refused(WriteRefusal::Memory)
    }

    fn data_info(&self) -> String {
        let Stored {
            history,
            history_before,
            offset_before,
            keys,
        } = &self.data;
        let loading = u8::from(self.loading);
        let second = offset_before + 1;
        let count = match keys {
            0 => String::new(),
            keys => format!("db0:keys={keys},expires=0\r\n"),
        };
        format!(
            "loading:{loading}\r\nmaster_replid:{history}\r\nmaster_replid2:{history_before}\r\n\
             second_repl_offset:{second}\r\n# Keyspace\r\n{count}"
        )
    }
}

fn refused(error: &str) -> Reply {
    Reply::Reconfigured(Err(error.to_owned()))
}
