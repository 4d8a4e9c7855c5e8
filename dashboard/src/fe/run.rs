//! A front end from start to stop.

use std::sync::Arc;

use anyhow::Context as _;
use codis_runtime::http::{self, Standard};
use codis_runtime::metrics::Metrics;
use codis_runtime::shutdown::Shutdown;
use codis_runtime::{build, coordinator, telemetry};

use super::assets::Assets;
use super::cli::Options;
use super::directory::{Directory, Source};
use super::serve::{self, Counters, Fe};

/// Serves until it is told to stop.
///
/// # Errors
/// The port, the assets or the address of the coordinator cannot be used. A coordinator that does
/// not answer is asked again and again.
pub async fn run(options: Options, log: telemetry::Handle) -> anyhow::Result<()> {
    let shutdown = Shutdown::on_signals().context("install signal handlers")?;
    let assets = match &options.assets_dir {
        Some(dir) => Assets::of_dir(dir)?,
        None => Assets::embedded(),
    };
    let listen = options.listen.as_deref().context("--listen is missing")?;
    let listener = http::bind(listen).await?;
    let source = source(&options).await?;
    tracing::info!(version = build::version(), products = %source, "starting");
    let metrics = Metrics::new("fe");
    let counters = Counters::register(&metrics);
    let directory = Arc::new(Directory::new(source, counters.clone()));
    let ready = directory.clone();
    let standard = Standard::new(metrics)
        .ready(move || ready.readiness())
        .log(log);
    directory.refresh().await;
    let router = serve::router(Fe::new(directory, assets, counters), standard.routes());
    http::serve(listener, router, shutdown)
        .await
        .context("http server")
}

async fn source(options: &Options) -> anyhow::Result<Source> {
    if let Some(file) = &options.dashboard_list {
        return Ok(Source::File(file.clone()));
    }
    let (zookeeper_auth, etcd_auth) = (&options.zookeeper_auth, &options.etcd_auth);
    let stores = [
        ("zookeeper", &options.zookeeper, zookeeper_auth),
        ("etcd", &options.etcd, etcd_auth),
        ("filesystem", &options.filesystem, &None),
    ];
    for (name, addr, auth) in stores {
        if let Some(addr) = addr {
            let auth = auth.as_deref().unwrap_or_default();
            let store = coordinator::open(name, addr, auth)
                .await
                .with_context(|| format!("--{name}={addr}"))?;
            let shown = format!("{name} {addr}");
            return Ok(Source::Store { store, shown });
        }
    }
    anyhow::bail!(
        "where are the products? Give one of --dashboard-list, --zookeeper, --etcd, --filesystem"
    )
}
