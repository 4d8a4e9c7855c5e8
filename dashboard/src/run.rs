//! A dashboard from start to stop.
//!
//! The port is bound first, so that a second dashboard on the same address fails at once; then the
//! lock is taken; then the records are read. Until then, calls that need them say so.

use std::time::Duration;

use anyhow::Context as _;
use codis_core::model::Topom;
use codis_core::xauth;
use codis_runtime::coordinator::Lock;
use codis_runtime::http::{self, Standard};
use codis_runtime::metrics::Metrics;
use codis_runtime::shutdown::Shutdown;
use codis_runtime::{build, coordinator, host, telemetry};
use futures_util::FutureExt as _;

use crate::api::{self, App};
use crate::audit::AuditLog;
use crate::cli::Options;
use crate::config::Settings;
use crate::core::Core;
use crate::lock;
use crate::metrics::{self, Counters};
use crate::store::Store;

/// Pause after records that could not be read.
const LOAD_RETRY: Duration = Duration::from_secs(2);
/// How long what was asked for may take to be stored at the end.
const CLOSE_MAX: Duration = Duration::from_secs(5);
/// How long the lock may take to be released.
const RELEASE_MAX: Duration = Duration::from_secs(5);

/// Runs a dashboard until it is told to stop.
///
/// # Errors
/// It could not start: the port, the store or the lock.
pub async fn run(
    settings: Settings,
    options: Options,
    log: telemetry::Handle,
) -> anyhow::Result<()> {
    let shutdown = Shutdown::on_signals().context("install signal handlers")?;
    let listener = http::bind(&settings.admin_addr).await?;
    let model = model(
        &settings,
        listener.local_addr()?,
        options.host_admin.as_deref(),
    )?;
    tracing::info!(version = build::version(), config = %settings.shown(), "starting");
    let (name, addr) = (&settings.coordinator_name, &settings.coordinator_addr);
    let store = coordinator::open(name, addr, &settings.coordinator_auth).await?;
    if options.remove_lock {
        lock::remove(&store, &settings.product_name).await?;
    }
    let registry = Metrics::new("dashboard");
    let counters = Counters::register(&registry);
    let audit_bytes_max = settings.audit_log_max_bytes.bytes().unsigned_abs();
    let audit = AuditLog::open(&settings.audit_log, audit_bytes_max)?;
    audit.register(&registry);
    let app = App::new(
        model.clone(),
        shutdown.clone(),
        log.clone(),
        counters.clone(),
        audit.clone(),
    );
    metrics::watch(&registry, app.clone());
    let ready = app.clone();
    let standard = Standard::new(registry)
        .ready(move || ready.readiness())
        .log(log);
    let router = api::router(app.clone()).merge(standard.routes());
    let server = tokio::spawn(http::serve(listener, router, shutdown.clone()));

    let store_of_product = Store::new(store.clone(), &model.product_name);
    let parts = Parts {
        settings,
        model,
        store: store_of_product,
        counters,
        audit: audit.clone(),
    };
    let locked = tokio::select! {
        locked = lock::acquire(&store, &parts.model) => locked.map(Some),
        () = shutdown.requested() => Ok(None),
    };
    let outcome = match locked {
        Ok(Some(lock)) => serve(parts, &app, &shutdown, lock).await,
        Ok(None) => Ok(()),
        Err(error) => Err(error),
    };
    shutdown.request("the dashboard ended");
    // Requests in flight have their own deadline in there.
    let served = server.await.context("http server")?;
    audit.flush();
    outcome.and(served.context("http server"))
}

/// What an online dashboard is made of.
struct Parts {
    settings: Settings,
    model: Topom,
    store: Store,
    counters: Counters,
    audit: AuditLog,
}

/// Serves with the lock until the stop is requested, then lets go of it.
async fn serve(parts: Parts, app: &App, shutdown: &Shutdown, lock: Lock) -> anyhow::Result<()> {
    tracing::info!(path = lock.path(), token = parts.model.token, "lock taken");
    let Parts {
        settings,
        model,
        store,
        counters,
        audit,
    } = parts;
    let started = async {
        loop {
            let start = Core::start(
                settings.clone(),
                model.clone(),
                store.clone(),
                counters.clone(),
                audit.clone(),
            );
            match start.await {
                Ok(started) => return started,
                Err(error) => {
                    tracing::error!(cause = error.cause, "{error}; trying again");
                    tokio::time::sleep(LOAD_RETRY).await;
                }
            }
        }
    };
    let started = tokio::select! {
        started = started => Some(started),
        () = shutdown.requested() => None,
    };
    let mut outcome = Ok(());
    if let Some((core, mut tasks)) = started {
        app.go_online(core.clone());
        tracing::info!("online");
        // A dashboard that lost a part of itself looks alive and does nothing: better none.
        outcome = tokio::select! {
            () = shutdown.requested() => Ok(()),
            _ = tasks.join_next() => Err(anyhow::anyhow!("a background task ended")),
            () = core.state.ended() => Err(anyhow::anyhow!("the owner of the records ended")),
            reason = lock.lost() => Err(anyhow::anyhow!("lock {} lost: {reason}", lock.path())),
        };
        app.close();
        tasks.shutdown().await;
        // Without the lock nothing more is stored: another dashboard may have it by now.
        if lock.lost().now_or_never().is_none() {
            Shutdown::within(CLOSE_MAX, "last changes", core.state.close()).await;
        }
    }
    let path = lock.path().to_owned();
    let released = Shutdown::within(RELEASE_MAX, "lock", lock.release()).await;
    outcome?;
    match released {
        Some(released) => released.with_context(|| format!("store: release lock of {path} failed")),
        None => anyhow::bail!("store: release lock of {path} failed: no answer in time"),
    }
}

fn model(
    settings: &Settings,
    bound: std::net::SocketAddr,
    wanted: Option<&str>,
) -> anyhow::Result<Topom> {
    let product = &settings.product_name;
    Ok(Topom {
        token: xauth::dashboard_token(&host::macs(), product, &bound.to_string()),
        start_time: host::start_time_text().to_owned(),
        admin_addr: host::advertise(bound, wanted)?,
        product_name: product.clone(),
        pid: std::process::id(),
        pwd: host::working_dir(),
        sys: host::sys(),
    })
}
