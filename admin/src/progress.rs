//! Progress of long work: how far, how fast, how long still. It goes to stderr, and only when that
//! is a terminal, so that scripts and logs see nothing of it.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// How often the clock of a bar moves on when nothing else happens.
const TICK: Duration = Duration::from_millis(200);
const TEMPLATE: &str = "{prefix} [{bar:32}] {pos}/{len} {per_sec} {eta} left {wide_msg}";

/// A bar that goes away when it is dropped.
pub struct Bar(ProgressBar);

impl Bar {
    /// A bar for `len` steps of `what`.
    pub fn new(what: &str, len: usize) -> Self {
        let bar = ProgressBar::new(len as u64);
        if let Ok(style) = ProgressStyle::with_template(TEMPLATE) {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_prefix(what.to_owned());
        if !bar.is_hidden() {
            bar.enable_steady_tick(TICK);
        }
        Self(bar)
    }

    /// Whether anybody sees it.
    pub fn is_seen(&self) -> bool {
        !self.0.is_hidden()
    }

    /// So many steps are done.
    pub fn at(&self, done: usize) {
        self.0.set_position(done as u64);
    }

    /// One more step is done.
    pub fn step(&self) {
        self.0.inc(1);
    }

    /// What is going on, beside the figures.
    pub fn tell(&self, text: &str) {
        self.0.set_message(text.to_owned());
    }

    /// A line for stderr that stays, above the bar.
    pub fn note(&self, text: &str) {
        self.0.suspend(|| eprintln!("codis-admin: {text}"));
    }

    /// Does something to the terminal while the bar is out of the way.
    pub fn aside<T>(&self, action: impl FnOnce() -> T) -> T {
        self.0.suspend(action)
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
