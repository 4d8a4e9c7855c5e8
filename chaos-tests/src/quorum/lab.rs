//! Starts and stops the servers and sentinels of one quorum.
//!
//! Each lab has loopback addresses of its own, so that several can run side by side. Servers have
//! the hosts `.1`, `.2`, ... and sentinels `.101`, `.102`, ....

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use codis_core::addr::Addr;

use super::breed::{Breed, Breeds};
use crate::process::{Plan, Process};
use crate::query;

/// The name under which the master is monitored.
pub const NAME: &str = "lab";
const SERVER_PORT: u16 = 6379;
const SENTINEL_PORT: u16 = 26379;
/// How long a lab may take to be complete, and a sentinel to follow.
const PATIENCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(20);

/// What a lab is made of.
#[derive(Clone, Debug)]
pub struct Spec {
    /// The first three bytes of its addresses, such as `127.77.3`.
    pub net: String,
    /// The sentinels.
    pub sentinels: Vec<Breed>,
    /// Replicas of the master.
    pub replicas: usize,
    /// Sentinels that make O_DOWN.
    pub quorum: usize,
    /// `down-after-milliseconds` of each sentinel of a breed.
    pub down_after: Duration,
    /// More lines for the config of the sentinels, about the name [`NAME`].
    pub lines: String,
    /// Variables added to the environment of the sentinels.
    pub env: Vec<(String, String)>,
}

/// Running processes.
#[derive(Debug)]
pub struct Lab {
    /// The servers; the first was the master at the start.
    pub servers: Vec<Member>,
    /// The sentinels.
    pub sentinels: Vec<Member>,
    dir: tempdir::Dir,
}

/// A process and where it listens.
#[derive(Debug)]
pub struct Member {
    /// Where it listens.
    pub addr: Addr,
    /// What it is; for servers, Debian's Redis.
    pub breed: Breed,
    /// The process.
    pub process: Process,
}

impl Lab {
    /// Starts everything below `parent` and waits until every sentinel knows everybody.
    ///
    /// # Errors
    /// A program is missing, does not start, or the quorum is not complete within a minute.
    pub async fn start(breeds: &Breeds, spec: &Spec, parent: &Path) -> anyhow::Result<Self> {
        let dir = tempdir::Dir::below(parent, &spec.net)?;
        let mut servers = Vec::new();
        for number in 0..=spec.replicas {
            let addr = Addr::new(format!("{}.{}", spec.net, number + 1), SERVER_PORT);
            let master = servers.first().map(|member: &Member| member.addr.clone());
            let process = start_server(breeds, dir.path(), &addr, master.as_ref())?;
            servers.push(Member {
                addr,
                breed: Breed::Redis70,
                process,
            });
        }
        let mut sentinels = Vec::new();
        for (number, breed) in spec.sentinels.iter().enumerate() {
            let addr = Addr::new(format!("{}.{}", spec.net, number + 101), SENTINEL_PORT);
            let text = sentinel_config(spec, &addr, &servers[0].addr);
            let process = start_sentinel(breeds, *breed, dir.path(), &addr, &text, &spec.env)?;
            sentinels.push(Member {
                addr,
                breed: *breed,
                process,
            });
        }
        let mut lab = Self {
            servers,
            sentinels,
            dir,
        };
        if let Err(error) = lab.wait_until_complete().await {
            let kept = lab.keep();
            return Err(error.context(format!("files are kept in {}", kept.display())));
        }
        Ok(lab)
    }

    /// Starts a server again that was killed.
    ///
    /// # Errors
    /// It does not start.
    pub fn restart_server(&mut self, index: usize) -> anyhow::Result<()> {
        let member = &mut self.servers[index];
        member.process = Process::start(member.process.plan().clone())?;
        Ok(())
    }

    /// Keeps the files when the lab ends.
    pub fn keep(&mut self) -> PathBuf {
        self.dir.keep()
    }

    /// Starts a sentinel of another breed on the config file of one that has ended.
    ///
    /// # Errors
    /// The program is missing or does not start.
    pub fn replace_sentinel(
        &mut self,
        breeds: &Breeds,
        index: usize,
        breed: Breed,
    ) -> anyhow::Result<()> {
        let (program, words) = breeds.sentinel(breed)?;
        let member = &mut self.sentinels[index];
        let mut plan = member.process.plan().clone();
        plan.program = program;
        plan.args.truncate(1);
        plan.args.extend(words.iter().map(|&word| word.to_owned()));
        member.process = Process::start(plan)?;
        member.breed = breed;
        Ok(())
    }

    /// Waits until every sentinel knows everybody, and all replicas are in sync.
    ///
    /// # Errors
    /// It is not so within a minute.
    pub async fn wait_until_complete(&self) -> anyhow::Result<()> {
        let (peers, replicas) = (self.sentinels.len() - 1, self.servers.len() - 1);
        for server in &self.servers {
            until("a server answers", || async {
                query::pings(&server.addr).await.is_ok()
            })
            .await?;
        }
        for sentinel in &self.sentinels {
            until("a sentinel knows everybody", || async {
                let fields = query::sentinel_master(&sentinel.addr, NAME).await;
                fields.is_ok_and(|it| knows(&it, peers, replicas))
            })
            .await
            .with_context(|| format!("sentinel {} ({})", sentinel.addr, sentinel.breed))?;
            until("the replicas are in sync", || async {
                all_in_sync(&sentinel.addr, replicas).await
            })
            .await
            .with_context(|| format!("sentinel {} ({})", sentinel.addr, sentinel.breed))?;
        }
        Ok(())
    }
}

/// Waits until a condition holds.
///
/// # Errors
/// It does not hold within a minute.
pub async fn until<F: Future<Output = bool>>(
    what: &str,
    mut holds: impl FnMut() -> F,
) -> anyhow::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while !holds().await {
        anyhow::ensure!(
            Instant::now() < deadline,
            "not so within {PATIENCE:?}: {what}"
        );
        tokio::time::sleep(POLL).await;
    }
    Ok(())
}

fn knows(fields: &BTreeMap<String, String>, peers: usize, replicas: usize) -> bool {
    let is = |key: &str, value: String| fields.get(key) == Some(&value);
    is("num-other-sentinels", peers.to_string())
        && is("num-slaves", replicas.to_string())
        && is("flags", "master".to_owned())
}

async fn all_in_sync(sentinel: &Addr, replicas: usize) -> bool {
    let Ok(answer) = query::ask(sentinel, &["SENTINEL", "SLAVES", NAME]).await else {
        return false;
    };
    let Ok(rows) = redis::from_redis_value::<Vec<BTreeMap<String, String>>>(answer) else {
        return false;
    };
    let is = |row: &BTreeMap<String, String>, key: &str, value: &str| {
        row.get(key).is_some_and(|it| it == value)
    };
    let ok = |row: &&BTreeMap<String, String>| {
        is(row, "master-link-status", "ok") && is(row, "flags", "slave")
    };
    rows.iter().filter(ok).count() == replicas
}

fn start_server(
    breeds: &Breeds,
    dir: &Path,
    addr: &Addr,
    master: Option<&Addr>,
) -> anyhow::Result<Process> {
    let home = dir.join(format!("server-{}", addr.host()));
    std::fs::create_dir_all(&home)?;
    let mut text = format!(
        "bind {host}\nport {port}\nprotected-mode no\ndir {dir}\nsave \"\"\n\
         replica-announce-ip {host}\nrepl-diskless-sync-delay 0\n",
        host = addr.host(),
        port = addr.port(),
        dir = home.display(),
    );
    if let Some(master) = master {
        text += &format!("replicaof {} {}\n", master.host(), master.port());
    }
    start(
        breeds.redis_server(),
        &home,
        ("redis.conf", &text),
        &[],
        &[],
    )
}

fn sentinel_config(spec: &Spec, addr: &Addr, master: &Addr) -> String {
    // The order and the words that Redis 3.2 knows too.
    format!(
        "bind {host}\nport {port}\nprotected-mode no\nsentinel announce-ip {host}\n\
         sentinel monitor {NAME} {} {} {}\nsentinel down-after-milliseconds {NAME} {}\n{}",
        master.host(),
        master.port(),
        spec.quorum,
        spec.down_after.as_millis(),
        spec.lines,
        host = addr.host(),
        port = addr.port(),
    )
}

/// Starts a sentinel in a folder of its own below `dir`; `text` is its config without `dir`.
pub(super) fn start_sentinel(
    breeds: &Breeds,
    breed: Breed,
    dir: &Path,
    addr: &Addr,
    text: &str,
    env: &[(String, String)],
) -> anyhow::Result<Process> {
    let (program, words) = breeds.sentinel(breed)?;
    let home = dir.join(format!("sentinel-{}", addr.host()));
    std::fs::create_dir_all(&home)?;
    let text = format!("dir {}\n{text}", home.display());
    start(&program, &home, ("sentinel.conf", &text), words, env)
}

fn start(
    program: &Path,
    home: &Path,
    (file, text): (&str, &str),
    words: &[&str],
    env: &[(String, String)],
) -> anyhow::Result<Process> {
    let config = home.join(file);
    std::fs::write(&config, text)?;
    let mut args = vec![config.display().to_string()];
    args.extend(words.iter().map(|&word| word.to_owned()));
    let plan = Plan {
        program: program.to_owned(),
        args,
        dir: home.to_owned(),
        env: env.to_vec(),
        log: home.join("log"),
    };
    let shown = program.display().to_string();
    Process::start(plan).with_context(|| format!("start {shown}"))
}

/// A directory that goes with its lab.
mod tempdir {
    use std::path::{Path, PathBuf};

    /// The directory.
    #[derive(Debug)]
    pub struct Dir {
        path: PathBuf,
        kept: bool,
    }

    impl Dir {
        /// Makes it, empty.
        pub fn below(parent: &Path, name: &str) -> std::io::Result<Self> {
            let parent = std::path::absolute(parent)?;
            let path = parent.join(name);
            if path.exists() {
                std::fs::remove_dir_all(&path)?;
            }
            std::fs::create_dir_all(&path)?;
            Ok(Self { path, kept: false })
        }

        /// Where it is.
        pub fn path(&self) -> &Path {
            &self.path
        }

        /// Lets it stay.
        pub fn keep(&mut self) -> PathBuf {
            self.kept = true;
            self.path.clone()
        }
    }

    impl Drop for Dir {
        fn drop(&mut self) {
            if !self.kept {
                // What cannot be removed is only left over.
                let _ = std::fs::remove_dir_all(&self.path);
            }
        }
    }
}
