//! The six-host layout: which process runs where, and how the servers form groups.
//!
//! Every "host" is a loopback address of one /24, `.20` to `.25`, so standard ports can be used
//! everywhere and two clusters can run side by side on two nets. A group's master and replica are
//! never on the same host.

use std::fmt;
use std::str::FromStr;

use codis_core::addr::Addr;
use codis_core::paths;

/// The product that the cluster serves.
pub const PRODUCT: &str = "codis-demo";

/// The three first bytes of every address, 127.x.y.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Net([u8; 3]);

impl Net {
    /// The net of `make up` and of drills.
    pub const STANDARD: Self = Self([127, 0, 10]);

    /// 127.`second`.`third`.
    pub const fn loopback(second: u8, third: u8) -> Self {
        Self([127, second, third])
    }
}

impl Default for Net {
    fn default() -> Self {
        Self::STANDARD
    }
}

impl fmt::Display for Net {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0[0], self.0[1], self.0[2])
    }
}

impl FromStr for Net {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || {
            format!(
                "invalid net `{text}`: expected three bytes of a loopback address, such as 127.0.10"
            )
        };
        let bytes: Vec<u8> = text
            .split('.')
            .map(|part| part.parse().map_err(|_| bad()))
            .collect::<Result<_, _>>()?;
        match bytes.as_slice() {
            [127, second, third] => Ok(Self::loopback(*second, *third)),
            _ => Err(bad()),
        }
    }
}

/// One of the six hosts, 1..=6.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Host(u8);

impl Host {
    /// The directory and display name.
    pub fn name(self) -> String {
        format!("codis{:02}", self.0)
    }
}

/// What a process is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Role {
    /// A data server of a group.
    Redis {
        /// 1..=3.
        group: u32,
    },
    /// Watches masters.
    Sentinel,
    /// Routes commands of clients.
    Proxy,
    /// Decides which group owns which slot.
    Dashboard,
    /// Shows all that to people.
    FrontEnd,
}

impl Role {
    /// The program's name, and the prefix of its directory.
    pub const fn program(self) -> &'static str {
        match self {
            Self::Redis { .. } => "redis-server",
            Self::Sentinel => "codis-sentinel",
            Self::Proxy => "codis-proxy",
            Self::Dashboard => "codis-dashboard",
            Self::FrontEnd => "codis-fe",
        }
    }
}

/// One process of the layout.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Member {
    /// Where it runs.
    pub host: Host,
    /// What it is.
    pub role: Role,
    /// Where its peers or clients connect.
    pub addr: Addr,
    /// The admin API, for a proxy; its only address otherwise.
    pub admin: Addr,
}

impl Member {
    /// `codis01/redis-server-6379`: unique, and its directory below the state directory.
    pub fn name(&self) -> String {
        let (host, program) = (self.host.name(), self.role.program());
        format!("{host}/{program}-{}", self.addr.port())
    }

    /// Every address that it listens on.
    pub fn listens(&self) -> Vec<Addr> {
        if self.admin == self.addr {
            vec![self.addr.clone()]
        } else {
            vec![self.addr.clone(), self.admin.clone()]
        }
    }
}

/// A group as the layout starts it; failovers change who is master.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Group {
    /// 1..=3.
    pub id: u32,
    /// The first server is the first master.
    pub servers: Vec<Addr>,
    /// The slots that it owns, both ends included.
    pub slots: (u16, u16),
}

impl Group {
    /// The name that sentinels know it by.
    pub fn monitor(&self) -> String {
        paths::monitor_name(PRODUCT, self.id)
    }
}

/// All processes of a cluster on one net.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Layout {
    /// The net of all addresses.
    pub net: Net,
    /// Every process, in the order in which it is shown.
    pub members: Vec<Member>,
    /// The three groups.
    pub groups: Vec<Group>,
}

const REDIS_PORTS: [u16; 2] = [6379, 6380];
const SENTINEL_PORT: u16 = 26379;
const PROXY_PORT: u16 = 19000;
const PROXY_ADMIN_PORT: u16 = 11080;
const DASHBOARD_PORT: u16 = 18080;
const FRONT_END_PORT: u16 = 18090;

impl Layout {
    /// The layout on `net`.
    pub fn six_hosts(net: Net) -> Self {
        let mut members = Vec::new();
        for host in 1..=3 {
            for port in REDIS_PORTS {
                let role = Role::Redis {
                    group: group_of(host, port),
                };
                members.push(member(net, host, role, port, port));
            }
        }
        for host in 4..=6 {
            members.push(member(
                net,
                host,
                Role::Sentinel,
                SENTINEL_PORT,
                SENTINEL_PORT,
            ));
        }
        for host in 4..=5 {
            members.push(member(net, host, Role::Proxy, PROXY_PORT, PROXY_ADMIN_PORT));
        }
        // Either may lead.
        for host in [6, 5] {
            members.push(member(
                net,
                host,
                Role::Dashboard,
                DASHBOARD_PORT,
                DASHBOARD_PORT,
            ));
        }
        members.push(member(
            net,
            6,
            Role::FrontEnd,
            FRONT_END_PORT,
            FRONT_END_PORT,
        ));
        let slots = [(0, 341), (342, 682), (683, 1023)];
        let groups = (1..=3)
            .zip(slots)
            .map(|(id, slots)| Group {
                id,
                servers: servers_of(&members, id),
                slots,
            })
            .collect();
        Self {
            net,
            members,
            groups,
        }
    }

    /// The processes that are `program`.
    pub fn running<'a>(&'a self, program: &'a str) -> impl Iterator<Item = &'a Member> {
        self.members
            .iter()
            .filter(move |member| member.role.program() == program)
    }

    /// The data servers.
    pub fn redis(&self) -> impl Iterator<Item = &Member> {
        self.running("redis-server")
    }

    /// The sentinels.
    pub fn sentinels(&self) -> impl Iterator<Item = &Member> {
        self.running("codis-sentinel")
    }

    /// The proxies.
    pub fn proxies(&self) -> impl Iterator<Item = &Member> {
        self.running("codis-proxy")
    }

    /// The dashboards, of which one leads.
    pub fn dashboards(&self) -> impl Iterator<Item = &Member> {
        self.running("codis-dashboard")
    }

    /// The addresses of all dashboards with commas between, as tools and proxies take them.
    pub fn dashboard_list(&self) -> String {
        let addrs: Vec<_> = self
            .dashboards()
            .map(|board| board.addr.to_string())
            .collect();
        addrs.join(",")
    }

    /// Where the web page is.
    pub fn front_end(&self) -> Option<&Addr> {
        Some(&self.running("codis-fe").next()?.addr)
    }

    /// The process that listens for peers or clients on `addr`.
    pub fn at(&self, addr: &Addr) -> Option<&Member> {
        self.members.iter().find(|member| member.addr == *addr)
    }
}

/// Masters are on port 6379 of hosts 1 to 3; the replica of a group is one host further, on 6380.
const fn group_of(host: u8, port: u16) -> u32 {
    match (host, port) {
        (_, 6379) => host as u32,
        (1, _) => 3,
        _ => host as u32 - 1,
    }
}

fn servers_of(members: &[Member], group: u32) -> Vec<Addr> {
    let mut servers: Vec<_> = members
        .iter()
        .filter(|member| member.role == Role::Redis { group })
        .map(|member| member.addr.clone())
        .collect();
    servers.sort_by_key(Addr::port);
    servers
}

fn member(net: Net, host: u8, role: Role, port: u16, admin_port: u16) -> Member {
    let ip = format!("{net}.{}", 19 + host);
    Member {
        host: Host(host),
        role,
        addr: Addr::new(ip.clone(), port),
        admin: Addr::new(ip, admin_port),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_group_has_two_servers_on_one_host() {
        let layout = Layout::six_hosts(Net::STANDARD);
        for group in &layout.groups {
            let hosts: Vec<_> = group.servers.iter().map(Addr::host).collect();
            assert_eq!(hosts.len(), 2);
            assert_ne!(hosts[0], hosts[1], "group {}", group.id);
        }
    }

    #[test]
    fn the_groups_are_those_of_the_picture() {
        let layout = Layout::six_hosts(Net::STANDARD);
        let text: Vec<_> = layout
            .groups
            .iter()
            .map(|g| format!("{}+{}", g.servers[0], g.servers[1]))
            .collect();
        assert_eq!(
            text,
            [
                "127.0.10.20:6379+127.0.10.21:6380",
                "127.0.10.21:6379+127.0.10.22:6380",
                "127.0.10.22:6379+127.0.10.20:6380"
            ]
        );
        assert_eq!(layout.members.len(), 14);
        assert_eq!(
            layout.dashboard_list(),
            "127.0.10.25:18080,127.0.10.24:18080"
        );
    }

    #[test]
    fn every_slot_has_one_group() {
        let layout = Layout::six_hosts(Net::STANDARD);
        let mut owners = [0; 1024];
        for group in &layout.groups {
            for slot in group.slots.0..=group.slots.1 {
                owners[usize::from(slot)] += 1;
            }
        }
        assert!(owners.iter().all(|&count| count == 1));
    }

    #[test]
    fn nets_are_loopback_only() {
        assert_eq!("127.0.11".parse(), Ok(Net::loopback(0, 11)));
        for bad in ["10.0.10", "127.0", "127.0.10.20", "127.0.256", ""] {
            assert!(bad.parse::<Net>().is_err(), "{bad}");
        }
    }
}
