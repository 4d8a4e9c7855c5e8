//! Listening to the sentinels on record.

use std::sync::Arc;

use codis_runtime::sentinels::{Listening, SAID_MAX, Said};
use tokio::sync::mpsc;

use super::belief::{handle_answer, handle_lost, handle_record};
use super::login;
use crate::core::Core;

/// Takes what the sentinels on record say, in the order in which they say it.
pub async fn listen_all(core: Arc<Core>) {
    let (said, mut sayings) = mpsc::channel(SAID_MAX);
    let mut views = core.state.subscribe();
    let login = login(&core.settings);
    let mut servers = Vec::new();
    let mut _listening = Listening::default();
    loop {
        let on_record = views.borrow_and_update().cluster.sentinel().servers.clone();
        if on_record != servers {
            core.belief.retain(&on_record);
            _listening = Listening::start(&core.settings.product_name, &on_record, &login, &said);
            servers = on_record;
        }
        tokio::select! {
            changed = views.changed() => if changed.is_err() {
                return;
            },
            Some(saying) = sayings.recv() => match saying {
                Said::Record(record) => handle_record(&core, &record).await,
                // What a sentinel said before it left the record counts no more.
                Said::Answer { sentinel, words } if servers.contains(&sentinel) => {
                    handle_answer(&core, &sentinel, words).await;
                }
                Said::Lost { sentinel } => handle_lost(&core, &sentinel),
                Said::Answer { .. } => {}
            },
        }
    }
}
