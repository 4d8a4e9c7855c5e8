//! Replies and bodies in the form of Codis.

use std::time::Duration;

use axum::extract::{FromRequest, Request};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use hyper::ext::ReasonPhrase;
use serde::Serialize;
use serde::de::DeserializeOwned;

use codis_core::api::{RemoteError, STATUS_ERROR};

/// How long a body may take to arrive.
const BODY_MAX: Duration = Duration::from_secs(60);
const JSON: HeaderValue = HeaderValue::from_static("application/json; charset=utf-8");
const REASON: ReasonPhrase = ReasonPhrase::from_static(b"status code 800");

/// `200` with `value` as JSON, indented by four spaces.
pub fn json<T: Serialize + ?Sized>(value: &T) -> Response {
    let body = codis_core::json::encode(value);
    ([(header::CONTENT_TYPE, JSON)], body).into_response()
}

/// `200` with `"OK"`: what every change answers.
pub fn ok() -> Response {
    json("OK")
}

/// The answer to an unknown route and to a wrong method.
pub fn not_found() -> Response {
    (StatusCode::NOT_FOUND, "404 page not found").into_response()
}

/// An application error: status 800 with its cause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiError(RemoteError);

impl ApiError {
    /// An error that says `cause`.
    pub fn new(cause: impl Into<String>) -> Self {
        Self(RemoteError::new(cause))
    }

    /// The text for people.
    pub fn cause(&self) -> &str {
        &self.0.cause
    }
}

/// Every error has a text, and that is what a caller is told. `ApiError` itself is none, so that
/// `?` works on all others.
impl<E: std::error::Error> From<E> for ApiError {
    fn from(error: E) -> Self {
        Self::new(error.to_string())
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = json(&self.0);
        *response.status_mut() =
            StatusCode::from_u16(STATUS_ERROR).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        response.extensions_mut().insert(REASON);
        response.extensions_mut().insert(Cause(self.0.cause));
        response
    }
}

/// The cause of an [`ApiError`], kept beside the answer for those that it passes on its way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause(pub String);

/// A body read as Codis reads JSON, whatever its content type. Where the original takes a
/// malformed body for an empty one, this answers an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonBody<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for JsonBody<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let body = tokio::time::timeout(BODY_MAX, Bytes::from_request(request, state))
            .await
            .map_err(|_| ApiError::new(format!("read body: not complete after {BODY_MAX:?}")))?
            .map_err(|rejection| ApiError::new(format!("read body: {}", rejection.body_text())))?;
        codis_core::json::decode(&body)
            .map(Self)
            .map_err(|error| ApiError::new(format!("invalid JSON body: {error}")))
    }
}
