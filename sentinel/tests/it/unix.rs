//! The command port on a unix socket.

use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;
use std::process::Command;

use crate::support::Sentinel;

fn cli(path: &Path, line: &str) -> String {
    let mut command = Command::new("redis-cli");
    let out = command.arg("-s").arg(path).args(line.split(' ')).output();
    String::from_utf8(out.unwrap().stdout)
        .unwrap()
        .trim()
        .to_owned()
}

/// The socket answers as the port does, shows itself in CLIENT LIST as with a stock sentinel, has
/// the mode that was asked for, replaces one that a crash left behind, and is gone at the end.
#[test]
fn a_unix_socket_is_a_port_too() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sentinel.sock");
    let lines = format!(
        "unixsocket {}\nunixsocketperm 700\nsentinel monitor m 127.0.0.1 30 2\n",
        path.display()
    );
    for start in [Sentinel::stock, Sentinel::ours] {
        let mut sentinel = start(&lines);
        assert_eq!(cli(&path, "PING"), "PONG");
        let list = cli(&path, "CLIENT LIST");
        let at = format!(" addr={0}:0 laddr={0}:0 ", path.display());
        assert!(list.contains(&at) && list.contains(" flags=U "), "{list}");
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        sentinel.process.kill();
        assert!(path.exists(), "a crash leaves it");
        sentinel.restart();
        assert_eq!(cli(&path, "PING"), "PONG");
        assert!(sentinel.process.stop().success());
        assert!(!path.exists(), "an orderly end does not");
    }
    std::fs::write(&path, "not a socket").unwrap();
    let sentinel = Sentinel::ours(&lines);
    assert!(std::fs::metadata(&path).unwrap().file_type().is_socket());
    drop(sentinel);
}
