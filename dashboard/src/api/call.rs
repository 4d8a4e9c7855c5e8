//! What every call carries: who calls, the secret, the parameters in the path.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::Deref;
use std::sync::Arc;

use axum::extract::{ConnectInfo, FromRequestParts, Path};
use axum::http::request::Parts;
use codis_runtime::http::ApiError;

use super::App;
use crate::core::Core;
use crate::state::Audit;

/// A call by somebody who knows the secret, where the route asks for it.
#[derive(Debug)]
pub struct Known {
    pub app: App,
    pub audit: Audit,
    parameters: BTreeMap<String, String>,
}

/// The same, to a dashboard that is online.
#[derive(Debug)]
pub struct Call {
    pub core: Arc<Core>,
    pub known: Known,
}

impl Known {
    /// A parameter as text.
    pub fn text(&self, name: &str) -> Result<&str, ApiError> {
        let value = self.parameters.get(name).map(String::as_str);
        value
            .filter(|value| !value.is_empty())
            .ok_or_else(|| ApiError::new(format!("missing {name}")))
    }

    /// A parameter as an integer.
    pub fn integer(&self, name: &str) -> Result<i64, ApiError> {
        self.text(name)?
            .parse()
            .map_err(|_| ApiError::new(format!("invalid {name}")))
    }

    /// A parameter as a choice: any integer but zero means yes.
    pub fn flag(&self, name: &str) -> Result<bool, ApiError> {
        Ok(self.integer(name)? != 0)
    }
}

impl Call {
    /// The id of a group that should exist.
    pub fn group(&self) -> Result<u32, ApiError> {
        Ok(codis_topom::edit::group_id(self.integer("gid")?)?)
    }

    /// Who calls, for the audit log.
    pub fn audit(&self) -> Audit {
        self.known.audit.clone()
    }
}

impl Deref for Call {
    type Target = Known;

    fn deref(&self) -> &Known {
        &self.known
    }
}

impl FromRequestParts<App> for Known {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let parameters = Path::<BTreeMap<String, String>>::from_request_parts(parts, app).await;
        let Path(parameters) = parameters.map_err(|error| ApiError::new(error.body_text()))?;
        if let Some(xauth) = parameters.get("xauth") {
            app.check(xauth)?;
        }
        let audit = Audit {
            who: who(parts),
            what: what(parts, &parameters),
        };
        Ok(Self {
            app: app.clone(),
            audit,
            parameters,
        })
    }
}

impl FromRequestParts<App> for Call {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let known = Known::from_request_parts(parts, app).await?;
        Ok(Self {
            core: app.core()?,
            known,
        })
    }
}

/// The peer, and whom it says that it speaks for.
fn who(parts: &Parts) -> String {
    let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>();
    let peer = peer.map_or_else(
        || "unknown".to_owned(),
        |ConnectInfo(addr)| addr.to_string(),
    );
    let header = |name| {
        parts
            .headers
            .get(name)
            .and_then(|value| value.to_str().ok())
    };
    match header("x-real-ip").or_else(|| header("x-forwarded-for")) {
        Some(origin) => format!("{peer} for {origin}"),
        None => peer,
    }
}

/// The call without the secret.
fn what(parts: &Parts, parameters: &BTreeMap<String, String>) -> String {
    // A nested route sees its own part of the path alone.
    let path = parts.uri.path();
    let path = path
        .strip_prefix("/api/topom/")
        .unwrap_or(path)
        .trim_start_matches('/');
    match parameters.get("xauth") {
        Some(xauth) => path.replacen(&format!("/{xauth}"), "", 1),
        None => path.to_owned(),
    }
}
