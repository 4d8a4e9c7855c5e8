//! The kinds of stores: one row each, read by whatever names them.
//!
//! A new store is one file (or folder) with a [`Coordinator`](super::Coordinator) and a row of
//! this kind, and one line in [`BACKENDS`].

use std::time::Duration;

use futures_util::future::BoxFuture;

use super::{OpenError, Shared, etcd, filesystem, zookeeper};

/// Opens a store: its address, `user:password` or nothing, and how long locks and ephemeral records
/// outlive a process.
pub(super) type Open =
    for<'a> fn(&'a str, &'a str, Duration) -> BoxFuture<'a, Result<Shared, OpenError>>;

/// A kind of store.
#[derive(Debug)]
pub struct Backend {
    /// What it is called in settings; the first name is also that of its command line flag.
    pub names: &'static [&'static str],
    /// Whether it has users; then there is a flag for `user:password` too.
    pub has_users: bool,
    /// Whether records can go with the process that made them, so that proxies can register.
    pub has_sessions: bool,
    pub(super) open: Open,
}

/// All kinds.
pub static BACKENDS: &[&Backend] = &[&filesystem::BACKEND, &zookeeper::BACKEND, &etcd::BACKEND];

/// The kind that settings call `name`.
pub fn backend(name: &str) -> Option<&'static Backend> {
    let mut all = BACKENDS.iter().copied();
    all.find(|backend| backend.names.contains(&name))
}
