//! Watching the sentinels of the product, and taking what they say.
//!
//! One task takes it all in the order in which it was said. Nothing here waits for a dashboard.

use std::sync::Arc;

use codis_core::belief::{Answers, Word};
use codis_runtime::peer::Login;
use codis_runtime::sentinels::{Listening, SAID_MAX, Said};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::Control;
use crate::route::Pair;

/// The sentinels that are watched, and the task that does it.
#[derive(Debug, Default)]
pub struct Watching {
    servers: Vec<String>,
    task: Option<JoinHandle<()>>,
}

impl Watching {
    /// The watched sentinels.
    pub fn servers(&self) -> &[String] {
        &self.servers
    }
}

impl Control {
    /// Watches these sentinels from now on, and no others.
    pub fn watch(self: &Arc<Self>, servers: Vec<String>) {
        let mut watching = self.watching();
        let is_alive = |task: &JoinHandle<()>| !task.is_finished();
        if watching.servers == servers && watching.task.as_ref().is_some_and(is_alive) {
            return;
        }
        watching.servers = servers;
        self.restart(&mut watching);
    }

    /// Starts watching anew.
    pub fn rewatch(self: &Arc<Self>) {
        self.restart(&mut self.watching());
    }

    fn restart(self: &Arc<Self>, watching: &mut Watching) {
        if let Some(task) = watching.task.take() {
            task.abort();
        }
        tracing::info!(servers = watching.servers.join(","), "sentinels to watch");
        self.set_monitored(Default::default());
        self.confirmed.send_replace(Default::default());
        self.changed.notify_one();
        if !watching.servers.is_empty() {
            let task = follow(self.clone(), watching.servers.clone());
            watching.task = Some(tokio::spawn(task));
        }
    }

    fn take(&self, word: Word, source: &str) {
        let pair = Pair {
            epoch: word.epoch,
            master: word.master,
        };
        self.adopt(word.group, pair, source);
    }
}

/// Takes what these sentinels say, until it is aborted.
async fn follow(control: Arc<Control>, servers: Vec<String>) {
    let product = control.settings().product_name.clone();
    let (said, mut sayings) = mpsc::channel(SAID_MAX);
    let _listening = Listening::start(&product, &servers, &Login::default(), &said);
    let mut answers = Answers::default();
    while let Some(saying) = sayings.recv().await {
        match saying {
            Said::Record(record) => {
                if let Some(word) = Word::of_record(&product, &record) {
                    control.take(word, &record.sentinel);
                }
                continue;
            }
            Said::Answer { sentinel, words } => answers.set(&sentinel, words),
            Said::Lost { sentinel } => answers.remove(&sentinel),
        }
        control.set_monitored(answers.monitored());
        let words = answers.by_majority(servers.len());
        let named = words.keys().copied().collect();
        for word in words.into_values() {
            control.take(word, "majority");
        }
        control.confirmed.send_replace(named);
    }
}
