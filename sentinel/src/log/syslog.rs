//! Lines for the system's log: datagrams to `/dev/log` in the form of RFC 3164, as `syslog(3)`
//! writes them. A daemon that was restarted is found again with the next line.

use std::io;
use std::os::unix::net::UnixDatagram;

use jiff::Zoned;

use super::Level;

/// Where the system listens.
const SOCKET: &str = "/dev/log";

/// The facilities that `syslog-facility` may name.
pub const FACILITIES: &[&str] = &[
    "user", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
];

/// The way to the system's log.
#[derive(Debug)]
pub struct Syslog {
    ident: String,
    facility: u8,
    socket: Option<UnixDatagram>,
}

impl Syslog {
    /// Lines start with `ident` and go to a facility, one of [`FACILITIES`].
    pub fn new(ident: &str, facility: &str) -> Self {
        // `user` is facility 1, and `local0` 16.
        let index = FACILITIES.iter().position(|name| *name == facility);
        let code = match index {
            None | Some(0) => 1,
            Some(local) => 15 + u8::try_from(local).unwrap_or(1),
        };
        Self {
            ident: ident.to_owned(),
            facility: code,
            socket: None,
        }
    }

    /// Sends one line; one that nobody takes is lost.
    pub fn write(&mut self, level: Level, text: &str) {
        let line = self.format(level, text);
        if self.send(&line).is_err() {
            // The daemon may have been restarted: its socket is a new one.
            self.socket = None;
            let _ = self.send(&line);
        }
    }

    fn send(&mut self, line: &str) -> io::Result<()> {
        let socket = match self.socket.take() {
            Some(socket) => socket,
            None => {
                let socket = UnixDatagram::unbound()?;
                socket.connect(SOCKET)?;
                socket
            }
        };
        socket.send(line.as_bytes())?;
        self.socket = Some(socket);
        Ok(())
    }

    fn format(&self, level: Level, text: &str) -> String {
        let severity = match level {
            Level::Debug => 7,
            Level::Verbose => 6,
            Level::Notice => 5,
            Level::Warning | Level::Nothing => 4,
        };
        let priority = self.facility * 8 + severity;
        let (ident, pid) = (&self.ident, std::process::id());
        let now = Zoned::now().strftime("%b %e %H:%M:%S").to_string();
        format!("<{priority}>{now} {ident}[{pid}]: {text}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_carry_facility_severity_and_ident() {
        let line = Syslog::new("s 1", "local3").format(Level::Warning, "+sdown m");
        // 19 * 8 + 4.
        assert!(line.starts_with("<156>"), "{line}");
        let end = format!(" s 1[{}]: +sdown m", std::process::id());
        assert!(line.ends_with(&end), "{line}");
        assert!(
            Syslog::new("s", "user")
                .format(Level::Notice, "")
                .starts_with("<13>")
        );
        assert!(
            Syslog::new("s", "local0")
                .format(Level::Debug, "")
                .starts_with("<135>")
        );
    }
}
