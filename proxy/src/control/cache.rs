//! The cache file: with it a proxy starts while no dashboard can be asked.
//!
//! It is written after each change of a route: to a file beside it, synced, renamed. Its first line
//! holds a checksum, so a damaged file is told from a good one and not used. A proxy that starts
//! takes the epochs in it as a floor at once, whoever fills its slots. It serves by the routes in
//! it only when nobody has filled slots meanwhile, and a majority of the sentinels named in it has
//! said who is master of each group.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use codis_core::json;
use codis_runtime::shutdown::Shutdown;
use sha2::{Digest, Sha256};

use super::Control;
use super::snapshot::Snapshot;

/// What the first line begins with; the checksum of the rest follows.
const MAGIC: &str = "codis-proxy routes 1 ";
/// The largest file that is read.
const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// The least time between two writes.
const WRITE_PAUSE: Duration = Duration::from_millis(100);
/// How long a dashboard has to fill the slots before the file is used.
const DASHBOARD_MAX: Duration = Duration::from_secs(2);
/// How often a proxy that waits for sentinels says so.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// Reads the file; `None` when there is none.
///
/// # Errors
/// It cannot be read, is damaged, or belongs to another product.
pub fn load(path: &Path, product: &str) -> anyhow::Result<Option<Snapshot>> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened.with_context(|| format!("open {}", path.display()))?,
    };
    let size = file.metadata().map_or(0, |meta| meta.len());
    let read = || {
        ensure!(size <= FILE_BYTES_MAX, "it is larger than 16 MiB");
        let snapshot = decode(&fs::read(path)?)?;
        ensure!(
            snapshot.product == product,
            "it belongs to product {}, this proxy to {product}",
            snapshot.product
        );
        Ok(snapshot)
    };
    let name = || format!("routes of {} are not used", path.display());
    read().with_context(name).map(Some)
}

fn encode(snapshot: &Snapshot) -> Vec<u8> {
    let body = json::encode(snapshot);
    let mut out = format!("{MAGIC}{}\n", checksum(&body)).into_bytes();
    out.extend_from_slice(&body);
    out
}

fn decode(bytes: &[u8]) -> anyhow::Result<Snapshot> {
    let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else {
        bail!("it has no first line");
    };
    let (head, body) = (&bytes[..end], &bytes[end + 1..]);
    let told = head
        .strip_prefix(MAGIC.as_bytes())
        .context("its first line is not that of such a file")?;
    ensure!(
        told == checksum(body).as_bytes(),
        "it is damaged: its checksum does not match"
    );
    Ok(json::decode(body)?)
}

fn checksum(body: &[u8]) -> String {
    let sum = Sha256::digest(body);
    sum.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Writes the file so that a crash leaves the old or the new one.
fn store(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut fresh = path.as_os_str().to_owned();
    // A predecessor that still drains may write at the same time.
    fresh.push(format!(".{}.new", std::process::id()));
    let fresh = PathBuf::from(fresh);
    let mut file = File::create(&fresh)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&fresh, path)?;
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty());
    File::open(dir.unwrap_or(Path::new(".")))?.sync_all()
}

/// Keeps the file up to date until the process stops.
pub async fn keep(control: Arc<Control>, path: PathBuf, shutdown: Shutdown) {
    let mut written = Vec::new();
    let mut failing = false;
    let mut ending = false;
    while !ending {
        tokio::select! {
            () = control.changed.notified() => {}
            () = shutdown.requested() => ending = true,
        }
        // From then on the file belongs to the successor.
        if control.shared.handed_over.load(Ordering::Relaxed) {
            return;
        }
        let snapshot = control.snapshot();
        // What was never filled must not take the place of what was.
        if !snapshot.has_routes() {
            continue;
        }
        let bytes = encode(&snapshot);
        if bytes == written {
            continue;
        }
        let (to, data) = (path.clone(), bytes.clone());
        let stored = tokio::task::spawn_blocking(move || store(&to, &data)).await;
        match stored.unwrap_or_else(|error| Err(io::Error::other(error))) {
            Ok(()) => {
                written = bytes;
                failing = false;
            }
            Err(error) if !failing => {
                failing = true;
                tracing::error!(path = %path.display(), %error, "routes not written to ha_cache");
            }
            Err(_) => {}
        }
        tokio::time::sleep(WRITE_PAUSE).await;
    }
}

/// Serves by the routes of the file, if nobody has filled slots before its masters are confirmed.
///
/// # Errors
/// A slot of the file cannot be applied.
pub async fn serve(control: Arc<Control>, snapshot: Snapshot) -> anyhow::Result<()> {
    tokio::time::sleep(DASHBOARD_MAX).await;
    if control.is_filled() {
        return Ok(());
    }
    if !control.settings().ha_cache_alone {
        if snapshot.sentinels.is_empty() {
            tracing::warn!(
                "no dashboard has filled the slots, and the routes of ha_cache name no sentinels \
                 that could confirm them: waiting (ha_cache_alone would use them as they are)"
            );
            return Ok(());
        }
        control.watch(snapshot.sentinels.clone());
        wait_for_masters(&control, &snapshot).await;
    }
    if control.restore(&snapshot).await.context("use ha_cache")? {
        control.start();
        tracing::warn!("serving by the routes of ha_cache until a dashboard fills the slots");
    }
    Ok(())
}

/// Waits until a majority of the sentinels has named a master for each group that owns slots.
async fn wait_for_masters(control: &Control, snapshot: &Snapshot) {
    let owners = snapshot.owners();
    let mut confirmed = control.confirmed.subscribe();
    loop {
        let all = confirmed.wait_for(|groups| owners.is_subset(groups));
        if tokio::time::timeout(TELL_EVERY, all).await.is_ok() || control.is_filled() {
            return;
        }
        let missing: Vec<_> = owners
            .difference(&control.confirmed.borrow())
            .copied()
            .collect();
        tracing::warn!(
            groups = ?missing,
            "no dashboard has filled the slots, and no majority of the sentinels named in \
             ha_cache has confirmed the masters of these groups: waiting"
        );
    }
}

#[cfg(test)]
mod tests {
    use codis_core::api::Slot;

    use super::*;

    fn snapshot() -> Snapshot {
        Snapshot {
            product: "demo".to_owned(),
            online: true,
            slots: vec![Slot {
                id: 7,
                backend_addr: "127.0.0.1:1".to_owned(),
                backend_addr_group_id: 3,
                ..Slot::default()
            }],
            ..Snapshot::default()
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("routes");
        assert_eq!(load(&path, "demo").unwrap(), None);
        store(&path, &encode(&snapshot())).unwrap();
        let read = load(&path, "demo").unwrap().unwrap();
        assert_eq!(read, snapshot());
        assert_eq!(read.owners(), [3].into());
        let error = format!("{:#}", load(&path, "other").unwrap_err());
        assert!(error.contains("belongs to product demo"), "{error}");
    }

    #[test]
    fn any_damage_is_noticed() {
        let good = encode(&snapshot());
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            assert!(decode(&bad).is_err(), "byte {at}");
            assert!(decode(&good[..at]).is_err(), "cut at {at}");
        }
        assert!(decode(b"").is_err());
    }
}
