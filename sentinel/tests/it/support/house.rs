//! Programs that see an `/etc/hosts` of the test's own, by a mount namespace.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::{Process, script};

/// The names that some programs see.
pub struct House {
    dir: TempDir,
}

impl House {
    /// No names yet.
    pub fn new() -> Self {
        let house = Self {
            dir: tempfile::tempdir().unwrap(),
        };
        let path = |name| house.dir.path().join(name);
        std::fs::write(path("hosts"), "").unwrap();
        std::fs::write(path("nsswitch.conf"), "hosts: files\n").unwrap();
        // Whoever opens it waits for ever.
        let made = Command::new("mkfifo").arg(path("fifo")).status();
        assert!(made.unwrap().success());
        house
    }

    /// Says where names lead from now on.
    pub fn names(&self, names: &[(&str, &str)]) {
        let line = |(name, ip): &(&str, &str)| format!("{ip} {name}\n");
        let text: String = names.iter().map(line).collect();
        // In place: what is mounted is the file, not its path.
        std::fs::write(self.dir.path().join("hosts"), text).unwrap();
    }

    /// A program that starts another one with these names.
    pub fn program(&self, name: &str, program: &Path) -> PathBuf {
        self.wrap(name, program, "hosts")
    }

    /// The same, with a resolver that hangs.
    pub fn program_that_hangs(&self, name: &str, program: &Path) -> PathBuf {
        self.wrap(name, program, "fifo")
    }

    fn wrap(&self, name: &str, program: &Path, hosts: &str) -> PathBuf {
        let dir = self.dir.path().display();
        let program = program.display();
        let path = self.dir.path().join(name);
        script(
            &path,
            &format!(
                "exec unshare -m sh -c 'mount --bind {dir}/{hosts} /etc/hosts && \
                 mount --bind {dir}/nsswitch.conf /etc/nsswitch.conf && \
                 exec {program} \"$@\"' sh \"$@\""
            ),
        );
        path
    }

    /// Makes the resolver of a running program hang.
    pub fn hang(&self, process: &Process) {
        let pid = process.id().to_string();
        let hung = self.dir.path().join("fifo");
        let mut command = Command::new("nsenter");
        command.args(["-t", &pid, "-m", "mount", "--bind"]);
        let done = command.arg(hung).arg("/etc/hosts").status();
        assert!(
            done.unwrap().success(),
            "a mount namespace cannot be entered"
        );
    }
}
