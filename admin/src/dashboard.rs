//! Actions on a dashboard.

mod actions;
mod addresses;
mod groups;
mod proxies;
mod rebalance;
mod sentinels;
mod slots;
mod status;
mod wait;

use std::cell::Cell;
use std::time::Duration;

use anyhow::{Context, anyhow};
use codis_core::api::Stats;
use codis_core::model::Topom;
use codis_core::xauth;
use codis_runtime::http::ClientError;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::cli::{Invocation, Options};
use crate::output::Answer;
use crate::talk::Talk;

/// How long one dashboard may take to say who it is before the next is asked.
const MEET_MAX: Duration = Duration::from_secs(5);

/// Dashboards of one product, of which one answered and took our secret.
///
/// Calls go to the one that answered last. Another is asked when a call surely was not carried
/// out, and for a question also when its answer got lost.
pub struct Dashboard {
    talk: Talk,
    addrs: Vec<String>,
    current: Cell<usize>,
    xauth: String,
}

/// Carries out one action on a dashboard.
///
/// # Errors
/// What the dashboard refused, or why it cannot be reached.
pub async fn run(talk: Talk, invocation: &Invocation) -> anyhow::Result<Answer> {
    let options = &invocation.options;
    let dashboard = Dashboard::connect(talk, options.dashboards()?).await?;
    match invocation.action.verb {
        "" => dashboard.overview(options).await,
        "shutdown" => dashboard.put("shutdown", &[]).await,
        "reload" => dashboard.put("reload", &[]).await,
        "log-level" => {
            let level = options.needed("log-level")?;
            dashboard.put("loglevel", &[level]).await
        }
        "slots-assign" => slots::assign(&dashboard, options).await,
        "slots-status" => slots::status(&dashboard).await,
        "slot-action" => actions::run(&dashboard, invocation).await,
        "rebalance" => rebalance::run(&dashboard, options).await,
        "list-proxy" | "create-proxy" | "online-proxy" | "remove-proxy" | "reinit-proxy"
        | "proxy-status" => proxies::run(&dashboard, invocation).await,
        "sentinel-add" | "sentinel-del" | "sentinel-resync" => {
            sentinels::run(&dashboard, invocation).await
        }
        _ => groups::run(&dashboard, invocation).await,
    }
}

impl Dashboard {
    /// Finds the first of the dashboards that answers and takes our secret, which it learns from
    /// the product that the dashboard says it serves.
    async fn connect(talk: Talk, addrs: &str) -> anyhow::Result<Self> {
        let addrs = addresses::parse(addrs)?;
        let mut failures = Vec::new();
        for (index, addr) in addrs.iter().enumerate() {
            match meet(&talk, addr).await {
                Ok(xauth) => {
                    let current = Cell::new(index);
                    return Ok(Self {
                        talk,
                        addrs,
                        current,
                        xauth,
                    });
                }
                Err(error) => failures.push(format!("{addr}: {error}")),
            }
        }
        Err(anyhow!("{}", failures.join("; "))).with_context(|| {
            let addrs = addrs.join(", ");
            format!("no dashboard answers at {addrs}: is codis-dashboard running there?")
        })
    }

    /// Calls the current dashboard, and the others in turn as long as `goes_on` says so.
    async fn ask<T>(
        &self,
        call: impl AsyncFn(&str) -> Result<T, ClientError>,
        goes_on: fn(&ClientError) -> bool,
    ) -> Result<T, ClientError> {
        let mut index = self.current.get();
        let mut outcome = call(&self.addrs[index]).await;
        for _ in 1..self.addrs.len() {
            if !outcome.as_ref().is_err_and(goes_on) {
                break;
            }
            index = (index + 1) % self.addrs.len();
            let next = call(&self.addrs[index]).await;
            // The first refusal tells more than "connection refused" of a dashboard long gone.
            if !next.as_ref().is_err_and(ClientError::is_unsent) {
                self.current.set(index);
                outcome = next;
            }
        }
        outcome
    }

    async fn get_path<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.ask(async |addr: &str| self.talk.get(addr, path).await, is_lost)
            .await
    }

    async fn get_json<T: DeserializeOwned>(&self, what: &str) -> anyhow::Result<T> {
        let path = format!("/api/topom/{what}/{}", self.xauth);
        let answer = self.get_path(&path).await;
        answer.with_context(|| format!("ask for {what}"))
    }

    /// The path of a call: its name, the secret, then the parameters.
    fn path(&self, call: &str, parameters: &[&str]) -> String {
        let mut path = format!("/api/topom/{call}/{}", self.xauth);
        for parameter in parameters {
            path.push('/');
            path.push_str(&escape(parameter));
        }
        path
    }

    /// A call that changes something, by its path. Gives what the dashboard answers.
    async fn put_path<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        let put = async |addr: &str| self.talk.put(addr, path).await;
        self.ask(put, is_refused_unseen).await
    }

    /// A call that changes something.
    async fn put(&self, call: &str, parameters: &[&str]) -> anyhow::Result<Answer> {
        let path = self.path(call, parameters);
        let _: Value = advised(self.put_path(&path).await).with_context(|| {
            let parameters = parameters.join(" ");
            format!("{call} {parameters}").trim_end().to_owned()
        })?;
        Ok(Answer::Done)
    }

    async fn stats(&self) -> anyhow::Result<Stats> {
        self.get_json("stats").await
    }

    /// What the one that leads knows. A standby without a leader tells what it read some seconds
    /// ago, and what was ordered since is not in that.
    async fn fresh_stats(&self) -> anyhow::Result<Stats> {
        let path = format!("/api/topom/stats/{}", self.xauth);
        let talk = self.talk.fresh_only();
        let get = async |addr: &str| talk.get(addr, &path).await;
        self.ask(get, is_lost).await.context("ask for stats")
    }

    /// The overview or a part of it, as the dashboard wrote it: another version's members stay.
    async fn overview(&self, options: &Options) -> anyhow::Result<Answer> {
        let overview: Value = self
            .get_path("/topom")
            .await
            .context("ask for the overview")?;
        match options.text("part") {
            None => Ok(Answer::Json(overview)),
            Some(part @ ("config" | "model" | "stats")) => Answer::json(&overview[part]),
            Some(part) => Answer::json(&overview["stats"][part]),
        }
    }
}

/// Learns the product from one dashboard and checks that it takes our secret.
async fn meet(talk: &Talk, addr: &str) -> Result<String, ClientError> {
    let talk = talk.within(MEET_MAX);
    let model: Topom = talk.get(addr, "/api/topom/model").await?;
    let xauth = xauth::dashboard(&model.product_name);
    let _: String = talk.get(addr, &format!("/api/topom/xping/{xauth}")).await?;
    Ok(xauth)
}

/// Whether a call surely changed nothing: it was not sent, or met a dashboard that does not lead.
fn is_refused_unseen(error: &ClientError) -> bool {
    let idle = |text: &str| {
        text.starts_with("topom is not online") || text.starts_with("use of closed topom")
    };
    error.is_unsent() || matches!(error, ClientError::Remote(text) if idle(text))
}

/// Whether a question has no answer that another dashboard would not know better.
fn is_lost(error: &ClientError) -> bool {
    is_refused_unseen(error)
        || matches!(
            error,
            ClientError::Timeout { .. } | ClientError::Broken { .. }
        )
}

/// Adds the next step to errors of changes that do not carry one.
fn advised<T>(outcome: Result<T, ClientError>) -> anyhow::Result<T> {
    outcome.map_err(|error| {
        let advice = match &error {
            ClientError::Status { code: 404, .. } => {
                "the dashboard does not know this call (an original, or an older one?)"
            }
            ClientError::Timeout { .. } | ClientError::Broken { .. } => {
                "the answer got lost and it may have been done: look before you try again"
            }
            ClientError::Url(_)
            | ClientError::Withheld(_)
            | ClientError::Connect { .. }
            | ClientError::Remote(_)
            | ClientError::Status { .. }
            | ClientError::Answer { .. } => return anyhow!(error),
        };
        anyhow!(error).context(advice)
    })
}

/// Escapes what may not stand in a path segment.
fn escape(segment: &str) -> String {
    segment.bytes().fold(String::new(), |mut path, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~:@[]".contains(&byte) {
            path.push(char::from(byte));
        } else {
            path.push_str(&format!("%{byte:02X}"));
        }
        path
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_cannot_leave_their_segment() {
        assert_eq!(escape("127.0.0.1:6379"), "127.0.0.1:6379");
        assert_eq!(escape("a/b c?"), "a%2Fb%20c%3F");
    }

    #[test]
    fn a_change_is_tried_elsewhere_only_when_it_was_not_done() {
        let remote = |text: &str| ClientError::Remote(text.to_owned());
        assert!(is_refused_unseen(&remote("topom is not online, no leader")));
        assert!(!is_refused_unseen(&remote("group-[1] already exists")));
        let lost = ClientError::Broken {
            reason: "reset".to_owned(),
            url: String::new(),
        };
        assert!(!is_refused_unseen(&lost) && is_lost(&lost));
        let told = format!("{:#}", advised::<()>(Err(lost)).unwrap_err());
        assert!(told.contains("look before you try again"), "{told}");
    }
}
