//! The admin API of Codis, and what operators expect of a daemon today.

use std::sync::Arc;

use axum::Router;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, put};
use codis_core::api::Slot;
use codis_core::ha::{TERM_HEADER, Term};
use codis_core::model;
use codis_runtime::http::{ApiError, JsonBody, Standard, json, ok};
use codis_runtime::metrics::Metrics;
use codis_runtime::telemetry::{InvalidLevel, Level};

use super::Control;
use super::exposed::Exposed;
use super::figures::FLAG_ALL;
use super::stamps::Stamp;

type Api = State<Arc<Control>>;
type Answer = Result<Response, ApiError>;

/// The answer below `/debug`, where the original has the profiler of its language.
const NO_PROFILER: &str = "no profiler here: run `perf record -g -p PID` on the host, \
                           see /metrics for figures\n";
/// Entries of the slow log that are shown without a number.
const SLOW_SHOWN: usize = 128;

/// All routes.
pub fn router(control: Arc<Control>) -> Router {
    let metrics = Metrics::new("proxy");
    let exposed = Box::new(Exposed(control.clone()));
    metrics.register(|registry| registry.register_collector(exposed));
    let asked = control.clone();
    let mut standard = Standard::new(metrics).ready(move || asked.readiness());
    if let Some(log) = &control.log {
        standard = standard.log(log.clone());
    }
    Router::new()
        .route("/", get(to_overview))
        .route("/proxy", get(overview))
        .route("/proxy/model", get(model))
        .route("/proxy/stats", get(stats))
        .route("/proxy/slots", get(slots))
        .route("/api/proxy/model", get(model))
        .route("/api/proxy/xping/{xauth}", get(xping))
        .route("/api/proxy/stats/{xauth}", get(basic_stats))
        .route("/api/proxy/stats/{xauth}/{flags}", get(flagged_stats))
        .route("/api/proxy/slots/{xauth}", get(checked_slots))
        .route("/api/proxy/slots/digest/{xauth}", get(slots_digest))
        .route("/api/proxy/start/{xauth}", put(start))
        .route("/api/proxy/stats/reset/{xauth}", put(reset_stats))
        .route("/api/proxy/forcegc/{xauth}", put(force_gc))
        .route("/api/proxy/shutdown/{xauth}", put(shutdown))
        .route("/api/proxy/loglevel/{xauth}/{level}", put(log_level))
        .route("/api/proxy/fillslots/{xauth}", put(fill_slots))
        .route("/api/proxy/fence/{xauth}/{stalls}", put(lift_fence))
        .route("/api/proxy/sentinels/{xauth}", put(sentinels))
        .route("/api/proxy/sentinels/{xauth}/rewatch", put(rewatch))
        .route("/api/proxy/slowlog/{xauth}", get(slow_log))
        .route("/api/proxy/slowlog/{xauth}/{max}", get(short_slow_log))
        .route("/api/proxy/slowlog/reset/{xauth}", put(reset_slow_log))
        .route("/debug", any(no_profiler))
        .route("/debug/{*page}", any(no_profiler))
        .route_layer(middleware::from_fn_with_state(control.clone(), of_term))
        .with_state(control)
        .merge(standard.routes())
}

/// Lets a call pass unless it comes from a dashboard that does not lead any more. One without a
/// term is an original, or a tool.
async fn of_term(State(control): Api, request: Request, next: Next) -> Response {
    let told = request.headers().get(TERM_HEADER);
    let told = told.and_then(|told| told.to_str().ok()?.parse().ok());
    if let Some(told) = told
        && let Err(stale) = control.hear_term(request.uri().path(), Term(told))
    {
        tracing::warn!("call refused: {stale}");
        return ApiError::from(stale).into_response();
    }
    next.run(request).await
}

/// A redirect with the status of the original.
async fn to_overview() -> Response {
    (StatusCode::FOUND, [(header::LOCATION, "/proxy")]).into_response()
}

async fn no_profiler() -> Response {
    (StatusCode::NOT_IMPLEMENTED, NO_PROFILER).into_response()
}

async fn overview(State(control): Api) -> Response {
    json(&control.overview())
}

async fn model(State(control): Api) -> Response {
    json(&control.model)
}

async fn stats(State(control): Api) -> Response {
    json(&control.stats(FLAG_ALL))
}

async fn slots(State(control): Api) -> Response {
    json(&control.shared.table.load().wire())
}

async fn xping(State(control): Api, Path(xauth): Path<String>) -> Answer {
    control.check_xauth(&xauth)?;
    control.check_open()?;
    Ok(ok())
}

async fn basic_stats(State(control): Api, Path(xauth): Path<String>) -> Answer {
    control.check_xauth(&xauth)?;
    Ok(json(&control.stats(0)))
}

async fn flagged_stats(
    State(control): Api,
    Path((xauth, flags)): Path<(String, String)>,
) -> Answer {
    control.check_xauth(&xauth)?;
    let flags: i64 = flags.parse()?;
    Ok(json(&control.stats(flags)))
}

async fn checked_slots(State(control): Api, Path(xauth): Path<String>) -> Answer {
    control.check_xauth(&xauth)?;
    Ok(json(&control.shared.table.load().wire()))
}

async fn slots_digest(State(control): Api, Path(xauth): Path<String>) -> Answer {
    control.check_xauth(&xauth)?;
    let slots = control.shared.table.load().wire();
    Ok(json(&codis_core::api::slots_digest(&slots)))
}

async fn start(State(control): Api, Path(xauth): Path<String>) -> Answer {
    control.check_xauth(&xauth)?;
    control.check_open()?;
    control.start();
    Ok(ok())
}

async fn reset_stats(State(control): Api, Path(xauth): Path<String>) -> Answer {
    control.check_xauth(&xauth)?;
    control.figures.reset();
    Ok(ok())
}

/// There is no garbage to collect.
async fn force_gc(State(control): Api, Path(xauth): Path<String>) -> Answer {
    control.check_xauth(&xauth)?;
    Ok(ok())
}

async fn shutdown(State(control): Api, Path(xauth): Path<String>) -> Answer {
    control.check_xauth(&xauth)?;
    control.check_open()?;
    control.close("admin API");
    Ok(ok())
}

async fn log_level(State(control): Api, Path((xauth, level)): Path<(String, String)>) -> Answer {
    control.check_xauth(&xauth)?;
    let level: Level = level
        .parse()
        .map_err(|_: InvalidLevel| ApiError::new("invalid loglevel"))?;
    if let Some(log) = &control.log {
        log.set_level(level);
    }
    Ok(ok())
}

async fn fill_slots(
    State(control): Api,
    Path(xauth): Path<String>,
    stamp: Result<Query<Stamp>, QueryRejection>,
    body: Result<JsonBody<Vec<Slot>>, ApiError>,
) -> Response {
    let filled = async {
        control.check_xauth(&xauth)?;
        let JsonBody(slots) = body?;
        // An original dashboard sends no stamp.
        let stamp = stamp.ok().map(|Query(stamp)| stamp);
        control.fill(slots, stamp).await?;
        Ok::<_, ApiError>(ok())
    };
    filled.await.into_response()
}

/// The dashboard says that the routes are current, and of how many stalls it knew then.
async fn lift_fence(State(control): Api, Path((xauth, stalls)): Path<(String, String)>) -> Answer {
    control.check_xauth(&xauth)?;
    control.check_open()?;
    control.lift_fence(stalls.parse()?);
    Ok(ok())
}

async fn sentinels(
    State(control): Api,
    Path(xauth): Path<String>,
    body: Result<JsonBody<model::Sentinel>, ApiError>,
) -> Response {
    let watched = || {
        control.check_xauth(&xauth)?;
        control.check_open()?;
        let JsonBody(sentinel) = body?;
        check_addresses(&sentinel.servers)?;
        control.watch(sentinel.servers);
        Ok::<_, ApiError>(ok())
    };
    watched().into_response()
}

fn check_addresses(servers: &[String]) -> Result<(), ApiError> {
    for server in servers {
        server.parse::<codis_core::addr::Addr>()?;
    }
    Ok(())
}

async fn rewatch(State(control): Api, Path(xauth): Path<String>) -> Result<Response, ApiError> {
    control.check_xauth(&xauth)?;
    control.check_open()?;
    control.rewatch();
    Ok(ok())
}

async fn slow_log(State(control): Api, Path(xauth): Path<String>) -> Answer {
    control.check_xauth(&xauth)?;
    Ok(json(&control.slow_log(SLOW_SHOWN)))
}

async fn short_slow_log(State(control): Api, Path((xauth, max)): Path<(String, String)>) -> Answer {
    control.check_xauth(&xauth)?;
    Ok(json(&control.slow_log(max.parse()?)))
}

async fn reset_slow_log(State(control): Api, Path(xauth): Path<String>) -> Answer {
    control.check_xauth(&xauth)?;
    control.reset_slow_log();
    Ok(ok())
}
