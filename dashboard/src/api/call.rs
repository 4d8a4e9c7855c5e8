//! What every call carries: who calls, the secret, the parameters in the path.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::Arc;

use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use codis_runtime::http::ApiError;

use super::{App, audited};
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
        let followed = parts.extensions.get::<Audit>().cloned();
        let audit = followed.unwrap_or_else(|| audited::audit_of(parts));
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

/// Whether a query says `force=1`, or any other integer but zero.
pub fn is_forced(query: Option<&str>) -> Result<bool, ApiError> {
    let pairs = query.unwrap_or_default().split('&');
    let mut pairs = pairs.filter_map(|pair| pair.split_once('='));
    let Some((_, value)) = pairs.find(|(name, _)| *name == "force") else {
        return Ok(false);
    };
    match value.parse::<i64>() {
        Ok(value) => Ok(value != 0),
        Err(_) => Err(ApiError::new("invalid force".to_owned())),
    }
}
