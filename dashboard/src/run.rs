//! A dashboard from start to stop.
//!
//! The port is bound first, so that a second dashboard on the same address fails at once. From then
//! on calls are answered: by this one when it leads, else by the one that does.

use std::sync::Arc;

use anyhow::Context as _;
use codis_core::model::Topom;
use codis_core::xauth;
use codis_runtime::http::{self, Standard};
use codis_runtime::metrics::Metrics;
use codis_runtime::shutdown::Shutdown;
use codis_runtime::{build, coordinator, host, telemetry};
use tokio::sync::watch;

use crate::api::{self, App};
use crate::audit::AuditLog;
use crate::cli::Options;
use crate::config::Settings;
use crate::leader::{Chair, Parts};
use crate::lock;
use crate::metrics::{self, Counters};
use crate::standby::Standby;
use crate::store::Store;

/// Runs a dashboard until it is told to stop.
///
/// # Errors
/// It could not start: the port or the store. Or a part of it broke later.
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
    let lease = settings.leader_lease.duration();
    let auth = &settings.coordinator_auth;
    let coordinator = coordinator::open_with(name, addr, auth, lease).await?;
    if options.remove_lock {
        lock::remove(&coordinator, &model).await?;
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

    let records = Store::new(coordinator.clone(), &model.product_name, None);
    let standby = Arc::new(Standby::new(
        settings.clone(),
        model.clone(),
        records,
        counters.forwards.clone(),
    ));
    let (leads, led) = watch::channel(false);
    let (reader, asker, asks) = (standby.clone(), standby.clone(), led.clone());
    let reading = tokio::spawn(async move { reader.keep_reading(led).await });
    let asking = tokio::spawn(async move { asker.keep_asking(asks).await });
    let parts = Parts {
        settings,
        model,
        coordinator,
        counters,
        audit: audit.clone(),
        standby,
    };
    let outcome = Chair::new(parts, app, leads).run(&shutdown).await;
    reading.abort();
    asking.abort();
    shutdown.request("the dashboard ended");
    // Requests in flight have their own deadline in there.
    let served = server.await.context("http server")?;
    audit.flush();
    outcome.and(served.context("http server"))
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
