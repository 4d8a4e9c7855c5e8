//! The newest entries of the audit log.

use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use codis_runtime::http::{ApiError, json};

use super::call::Known;
use super::{App, Reply};
use crate::audit::{Entry, RECENT_MAX};

/// Entries that are shown without a number.
const SHOWN: usize = 100;

/// All routes of the audit log.
pub fn routes() -> Router<App> {
    Router::new()
        .route("/audit/{xauth}", get(newest))
        .route("/audit/{xauth}/{n}", get(newest))
}

/// A dashboard that does not lead has a log too: of the calls that it refused or passed on.
async fn newest(known: Known) -> Reply {
    let n = match known.text("n") {
        Err(_) => SHOWN,
        Ok(_) => {
            let n = known.integer("n")?;
            let most = RECENT_MAX as i64;
            if !(1..=most).contains(&n) {
                let text = format!("invalid n = {n}, expected 1 to {most}");
                return Err(ApiError::new(text));
            }
            usize::try_from(n).unwrap_or(SHOWN)
        }
    };
    let entries = known.app.audit().recent(n);
    let entries: Vec<&Entry> = entries.iter().map(Arc::as_ref).collect();
    Ok(json(&entries))
}
