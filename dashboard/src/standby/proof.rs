//! Whether the leader leads: it is asked, again and again.
//!
//! The store says who leads, but a standby that does not reach the store any more hears nothing
//! new, and one whose leader hangs hears too late. A balancer that sends calls here wants to know
//! whether they would be carried out now, and only the leader can tell.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use codis_runtime::http::{Client, ClientError};

use super::{DIAL_MAX, LEADER_PATH, READ_MAX, Who};

/// How often the leader is asked.
pub(super) const ASK_EVERY: Duration = Duration::from_secs(1);
/// How long its word is good: one answer may be lost.
const GOOD_MAX: Duration = Duration::from_millis(2500);

/// What the leader last said of itself.
#[derive(Debug)]
pub(super) struct Proof {
    client: Client,
    heard: Mutex<Heard>,
}

#[derive(Debug, Default)]
struct Heard {
    /// Who said that it leads, and when it was asked.
    leads: Option<(String, Instant)>,
    /// What came of asking last, if it was anything else.
    why: String,
}

impl Proof {
    /// Nothing was said yet.
    pub fn new() -> Self {
        Self {
            client: Client::new(DIAL_MAX, READ_MAX),
            heard: Mutex::default(),
        }
    }

    /// Asks the one at `addr`.
    pub async fn ask(&self, addr: &str) {
        let asked = Instant::now();
        let why = match self.client.get::<Who>(addr, LEADER_PATH).await {
            Ok(who) if who.leading => None,
            Ok(_) => Some("it says that it does not lead".to_owned()),
            // An original does not know the question, but it answers.
            Err(ClientError::Status { .. } | ClientError::Remote(_)) => None,
            Err(error) => Some(error.to_string()),
        };
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        match why {
            None => heard.leads = Some((addr.to_owned(), asked)),
            Some(why) => heard.why = why,
        }
    }

    /// Whether the one at `addr` leads.
    ///
    /// # Errors
    /// It has not said so lately.
    pub fn check(&self, addr: &str) -> Result<(), String> {
        let heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        let said = heard.leads.as_ref().filter(|(who, _)| who == addr);
        match said {
            Some((_, at)) if at.elapsed() <= GOOD_MAX => Ok(()),
            Some((_, at)) => Err(format!(
                "the leader at {addr} has not said for {} s that it leads: {}",
                at.elapsed().as_secs(),
                heard.why
            )),
            None => Err(format!(
                "the leader at {addr} has not said yet that it leads {}",
                heard.why
            )
            .trim_end()
            .to_owned()),
        }
    }
}
