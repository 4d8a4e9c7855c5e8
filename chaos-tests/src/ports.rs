//! Says which wanted addresses are taken, and by whom, before anything is started.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener};

use codis_core::addr::Addr;

use crate::layout::Layout;

/// An address that cannot be listened on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// The address.
    pub addr: Addr,
    /// The process of the layout that needs it.
    pub wanted_by: String,
    /// Who listens there, when that can be found out.
    pub holder: Option<Holder>,
    /// The operating system's words.
    pub reason: String,
}

/// A process that listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Its id.
    pub pid: u32,
    /// Its command line.
    pub command: String,
}

impl fmt::Display for Taken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "port {} of {} (for {}): {}",
            self.addr.port(),
            self.addr.host(),
            self.wanted_by,
            self.reason
        )?;
        match &self.holder {
            Some(holder) => write!(f, "; held by process {} `{}`", holder.pid, holder.command),
            None => Ok(()),
        }
    }
}

/// Tries every address of `layout`; empty means all are free.
pub fn taken(layout: &Layout) -> Vec<Taken> {
    let mut found = Vec::new();
    for member in &layout.members {
        for addr in member.listens() {
            if let Err(error) = try_listen(&addr) {
                found.push(Taken {
                    holder: holder(&addr),
                    wanted_by: member.name(),
                    reason: reason(&error),
                    addr,
                });
            }
        }
    }
    found
}

fn try_listen(addr: &Addr) -> io::Result<()> {
    TcpListener::bind((addr.host(), addr.port())).map(drop)
}

fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => "already in use".to_owned(),
        io::ErrorKind::PermissionDenied => "no permission to listen".to_owned(),
        _ => error.to_string(),
    }
}

/// The process that listens on `addr` or on every address at its port.
pub fn holder(addr: &Addr) -> Option<Holder> {
    let wanted = SocketAddrV4::new(addr.host().parse().ok()?, addr.port());
    let inode = listeners().into_iter().find_map(|(local, inode)| {
        let host = local.ip().is_unspecified() || local.ip() == wanted.ip();
        (host && local.port() == wanted.port()).then_some(inode)
    })?;
    owner(inode)
}

/// Listening IPv4 sockets and their inodes.
fn listeners() -> BTreeMap<SocketAddrV4, u64> {
    let text = fs::read_to_string("/proc/net/tcp").unwrap_or_default();
    text.lines().skip(1).filter_map(listener).collect()
}

/// One line of `/proc/net/tcp`, when it is a listener (state 0A).
fn listener(line: &str) -> Option<(SocketAddrV4, u64)> {
    let fields: Vec<_> = line.split_whitespace().collect();
    if *fields.get(3)? != "0A" {
        return None;
    }
    let (host, port) = fields.get(1)?.split_once(':')?;
    let host = u32::from_str_radix(host, 16).ok()?;
    let host = Ipv4Addr::from(host.to_le_bytes());
    let port = u16::from_str_radix(port, 16).ok()?;
    let inode = fields.get(9)?.parse().ok()?;
    Some((SocketAddrV4::new(host, port), inode))
}

fn owner(inode: u64) -> Option<Holder> {
    let link = format!("socket:[{inode}]");
    for entry in fs::read_dir("/proc").ok()?.flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse() else {
            continue;
        };
        let Ok(open) = fs::read_dir(entry.path().join("fd")) else {
            continue;
        };
        let holds = open
            .flatten()
            .any(|fd| fs::read_link(fd.path()).is_ok_and(|to| to.as_os_str() == link.as_str()));
        if holds {
            return Some(Holder {
                pid,
                command: command_line(pid),
            });
        }
    }
    None
}

fn command_line(pid: u32) -> String {
    let raw = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let words: Vec<_> = raw
        .split(|&byte| byte == 0)
        .filter(|word| !word.is_empty())
        .map(String::from_utf8_lossy)
        .collect();
    words.join(" ")
}

/// The address that a listener got, as text.
pub fn addr_of(listener: &TcpListener) -> io::Result<Addr> {
    let SocketAddr::V4(local) = listener.local_addr()? else {
        return Err(io::ErrorKind::Unsupported.into());
    };
    Ok(Addr::new(local.ip().to_string(), local.port()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::Net;

    #[test]
    fn a_taken_port_is_named_with_its_holder() {
        let layout = Layout::six_hosts(Net::loopback(251, 7));
        let proxy = layout.proxies().next().unwrap();
        let busy = TcpListener::bind((proxy.admin.host(), proxy.admin.port())).unwrap();
        let found = taken(&layout);
        drop(busy);
        assert_eq!(found.len(), 1, "{found:?}");
        let text = found[0].to_string();
        let start =
            "port 11080 of 127.251.7.23 (for codis04/codis-proxy-19000): already in use; held by";
        assert!(text.starts_with(start), "{text}");
        assert_eq!(
            found[0].holder.as_ref().map(|h| h.pid),
            Some(std::process::id())
        );
    }

    #[test]
    fn free_ports_are_not_reported() {
        assert_eq!(taken(&Layout::six_hosts(Net::loopback(251, 8))), []);
    }
}
