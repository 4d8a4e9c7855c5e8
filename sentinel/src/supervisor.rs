//! What starts and watches this process, and wants to be told of it.

use std::env;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use rustix::process::{Signal, getpid, kill_process};

use crate::conf::server::Supervised;

/// Where systemd listens.
const SYSTEMD: &str = "NOTIFY_SOCKET";
/// Set by upstart.
const UPSTART: &str = "UPSTART_JOB";

/// The supervisor of this process.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Supervisor {
    /// systemd.
    Systemd,
    /// upstart.
    Upstart,
}

impl Supervisor {
    /// Whom to tell, by `supervised` and what the environment says; nobody when there is no sign
    /// of a supervisor.
    pub fn of(wanted: Supervised) -> Option<Self> {
        let upstart = env::var_os(UPSTART).is_some();
        let systemd = env::var_os(SYSTEMD).is_some();
        match wanted {
            Supervised::Upstart | Supervised::Auto if upstart => Some(Self::Upstart),
            Supervised::Systemd | Supervised::Auto if systemd => Some(Self::Systemd),
            Supervised::No | Supervised::Auto | Supervised::Systemd | Supervised::Upstart => None,
        }
    }

    /// Clients are served from now on.
    ///
    /// # Errors
    /// The supervisor cannot be reached.
    pub fn ready(self) -> io::Result<()> {
        match self {
            Self::Systemd => notify("STATUS=Ready to accept connections\nREADY=1\n"),
            // upstart waits for the process to stop, and lets it go on.
            Self::Upstart => Ok(kill_process(getpid(), Signal::STOP)?),
        }
    }

    /// The process is about to end.
    ///
    /// # Errors
    /// The supervisor cannot be reached.
    pub fn stopping(self) -> io::Result<()> {
        match self {
            Self::Systemd => notify("STATUS=Shutting down\nSTOPPING=1\n"),
            Self::Upstart => Ok(()),
        }
    }
}

fn notify(text: &str) -> io::Result<()> {
    let Some(path) = env::var_os(SYSTEMD) else {
        return Ok(());
    };
    let addr = match path.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        _ => SocketAddr::from_pathname(&path)?,
    };
    UnixDatagram::unbound()?.send_to_addr(text.as_bytes(), &addr)?;
    Ok(())
}
