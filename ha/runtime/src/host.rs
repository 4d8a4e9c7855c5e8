//! Who and where this process is: host name, hardware addresses, the address that others dial,
//! and the texts that Codis records show.

mod address;
mod clock;

pub use address::{AdvertiseError, advertise};
pub use clock::{now_rfc3339, now_text, start_time_text};

use std::fs;

/// The hardware addresses of all interfaces that have one, in lower-case colon form.
pub fn macs() -> Vec<String> {
    let Ok(interfaces) = fs::read_dir("/sys/class/net") else {
        return Vec::new();
    };
    let mut macs: Vec<String> = interfaces
        .flatten()
        .filter_map(|interface| fs::read_to_string(interface.path().join("address")).ok())
        .map(|address| address.trim().to_ascii_lowercase())
        .filter(|address| address.bytes().any(|byte| !matches!(byte, b'0' | b':')))
        .collect();
    macs.sort();
    macs
}

/// What `uname -a` prints.
pub fn sys() -> String {
    let uname = rustix::system::uname();
    let parts = [
        uname.sysname(),
        uname.nodename(),
        uname.release(),
        uname.version(),
        uname.machine(),
    ];
    let mut text = String::new();
    for part in parts {
        text.push_str(&part.to_string_lossy());
        text.push(' ');
    }
    text.push_str("GNU/Linux");
    text
}

/// The name of this host.
pub fn hostname() -> String {
    let uname = rustix::system::uname();
    uname.nodename().to_string_lossy().into_owned()
}

/// The working directory, or an empty text when it is gone.
pub fn working_dir() -> String {
    std::env::current_dir().map_or_else(|_| String::new(), |dir| dir.display().to_string())
}
