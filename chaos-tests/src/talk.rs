//! What is said to a person while something takes time: on standard error, as one moving line on a
//! terminal and as one plain line a step elsewhere. Standard output stays for results.

use std::io::IsTerminal as _;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// Tells how far things are. Clones share the moving line.
#[derive(Clone, Debug)]
pub struct Talk {
    bar: Option<ProgressBar>,
    quiet: bool,
}

impl Talk {
    /// To standard error.
    pub fn to_stderr() -> Self {
        Self {
            bar: std::io::stderr().is_terminal().then(spinner),
            quiet: false,
        }
    }

    /// To nobody, for tests.
    pub const fn silent() -> Self {
        Self {
            bar: None,
            quiet: true,
        }
    }

    /// What is being done now.
    pub fn step(&self, text: impl AsRef<str>) {
        match &self.bar {
            Some(bar) => {
                bar.enable_steady_tick(Duration::from_millis(100));
                bar.set_message(text.as_ref().to_owned());
            }
            None => self.line(text),
        }
    }

    /// A line that stays.
    pub fn line(&self, text: impl AsRef<str>) {
        match &self.bar {
            Some(bar) => bar.suspend(|| eprintln!("{}", text.as_ref())),
            None if self.quiet => {}
            None => eprintln!("{}", text.as_ref()),
        }
    }

    /// A bar for `total` steps, which shows only on a terminal.
    pub fn progress(&self, total: u64) -> ProgressBar {
        if self.bar.is_none() {
            return ProgressBar::hidden();
        }
        let bar = ProgressBar::new(total);
        let template = "{wide_bar} {pos}/{len} {msg} ({elapsed}, {eta} to go)";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_secs(1));
        bar
    }

    /// What is being done now, beside a bar.
    pub fn note(&self, bar: &ProgressBar, text: &str) {
        match &self.bar {
            Some(_) => bar.set_message(text.to_owned()),
            None => self.line(text),
        }
    }

    /// Takes the moving line away.
    pub fn rest(&self) {
        if let Some(bar) = &self.bar {
            bar.disable_steady_tick();
            bar.set_message("");
            bar.finish_and_clear();
            bar.reset();
        }
    }
}

fn spinner() -> ProgressBar {
    let bar = ProgressBar::new_spinner();
    let style = ProgressStyle::with_template("{spinner} {msg} ({elapsed})");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
    bar
}
