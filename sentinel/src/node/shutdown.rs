//! The orderly end: what was learnt last is on disk before the process is gone.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::timeout;

use super::Node;
use crate::state::Persisted;

/// How long a disk may take before the process ends without it.
const LAST_WRITE_TIMEOUT: Duration = Duration::from_secs(5);

impl Node {
    /// Writes the state a last time.
    pub(super) async fn finish(&mut self, persisted: &mut mpsc::Receiver<Persisted>) {
        self.machine.flush(self.now());
        self.carry_out_all();
        let last = self.machine.last_persist();
        let written = async {
            while !self.waits.is_settled(last) {
                let Some(done) = persisted.recv().await else {
                    return;
                };
                self.persisted(done);
            }
        };
        if timeout(LAST_WRITE_TIMEOUT, written).await.is_err() {
            self.log
                .warning("The state could not be written in time, exiting without it");
        }
        self.log
            .warning("Sentinel is now ready to exit, bye bye...");
    }
}
