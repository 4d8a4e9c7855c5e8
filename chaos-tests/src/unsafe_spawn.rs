//! The one unsafe step of starting a process: a hook that runs in the child before its program.
//!
//! The hook asks the kernel to kill the child when the thread that started it ends, so that a
//! harness which is itself killed leaves nothing behind. Callers therefore start processes from a
//! thread that lives as long as the cluster: the main thread, or that of a test.

#![allow(
    unsafe_code,
    reason = "CommandExt::pre_exec runs code between fork and exec"
)]

use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use rustix::process::{Signal, getpid, getppid, set_parent_process_death_signal};

/// Makes the process that `command` will start die with the calling thread.
pub fn die_with_parent(command: &mut Command) {
    let parent = getpid();
    let hook = move || -> io::Result<()> {
        set_parent_process_death_signal(Some(Signal::KILL))?;
        if getppid() == Some(parent) {
            Ok(())
        } else {
            Err(io::ErrorKind::BrokenPipe.into())
        }
    };
    // SAFETY: the hook makes two system calls and neither allocates, locks nor touches memory that
    // another thread of the parent could have held at the fork.
    unsafe {
        command.pre_exec(hook);
    }
}
