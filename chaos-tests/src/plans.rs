//! How each member of the layout is started: its directory, config file, arguments and log.
//!
//! Servers and sentinels rewrite their own config, and what they wrote is their memory (whom they
//! follow, votes, epochs), so their file is rendered once and then left alone. Proxies and
//! dashboards never write theirs, so it is rendered at each start.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::conf::{Rendering, files};
use crate::front;
use crate::layout::{Layout, Member, PRODUCT, Role};
use crate::preflight::Programs;
use crate::process::Plan;

/// The variable that tells the scripts where to write.
pub const SCRIPT_LOG: &str = "CODIS_SCRIPT_LOG";

/// What may differ between two clusters.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How long a server stays silent until it counts as down.
    pub down_after: Duration,
    /// After how long a failover that does not get on is given up.
    pub failover_timeout: Duration,
    /// How long a dashboard leads without a word from the coordinator.
    pub leader_lease: Duration,
    /// Whether the servers can give slots away: they are behind fronts that speak for them.
    pub gives_slots: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            down_after: Duration::from_secs(1),
            failover_timeout: Duration::from_secs(10),
            leader_lease: Duration::from_secs(10),
            gives_slots: false,
        }
    }
}

/// Writes what members need and says how to start them.
#[derive(Clone, Debug)]
pub struct Planner {
    layout: Layout,
    programs: Programs,
    state: PathBuf,
    settings: Settings,
}

impl Planner {
    /// A planner for `layout` with everything below `state`, an absolute path.
    pub const fn new(
        layout: Layout,
        programs: Programs,
        state: PathBuf,
        settings: Settings,
    ) -> Self {
        Self {
            layout,
            programs,
            state,
            settings,
        }
    }

    /// The settings.
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The directory of `member`.
    pub fn dir(&self, member: &Member) -> PathBuf {
        self.state.join(member.name())
    }

    /// The log of `member`.
    pub fn log(&self, member: &Member) -> PathBuf {
        self.dir(member).join("log")
    }

    /// Where the scripts run by the sentinel `member` write.
    pub fn script_log(&self, member: &Member) -> PathBuf {
        self.dir(member).join("scripts.log")
    }

    /// Puts the scripts where the sentinels will find them.
    ///
    /// # Errors
    /// The state directory cannot be written.
    pub fn write_scripts(&self) -> io::Result<()> {
        let dir = self.state.join("scripts");
        fs::create_dir_all(&dir)?;
        for (file, text) in [
            (self.script("notify.sh"), files::NOTIFY),
            (self.script("client-reconfig.sh"), files::CLIENT_RECONFIG),
        ] {
            fs::write(&file, text)?;
            fs::set_permissions(&file, fs::Permissions::from_mode(0o755))?;
        }
        Ok(())
    }

    /// Writes the config file of `member` and says how to start it.
    ///
    /// # Errors
    /// The state directory cannot be written.
    pub fn plan(&self, member: &Member) -> io::Result<Plan> {
        let dir = self.dir(member);
        fs::create_dir_all(&dir)?;
        let mut env = Vec::new();
        let args = match member.role {
            Role::Redis { .. } => {
                let rendered = self.redis(member, &dir);
                vec![write_once(&dir.join("redis.conf"), &rendered)?]
            }
            Role::Sentinel => {
                env.push((SCRIPT_LOG.to_owned(), text(&self.script_log(member))));
                vec![write_once(
                    &dir.join("sentinel.conf"),
                    &sentinel(member, &dir),
                )?]
            }
            Role::Proxy => vec![
                config_flag(write(&dir.join("proxy.toml"), &proxy(member))?),
                format!("--dashboard={}", self.layout.dashboard_list()),
            ],
            Role::Dashboard => {
                let rendered = self.dashboard(member);
                vec![config_flag(write(&dir.join("dashboard.toml"), &rendered)?)]
            }
            Role::FrontEnd => {
                let store = text(&self.state.join("coordinator"));
                vec![
                    format!("--listen={}", member.addr),
                    format!("--filesystem={store}"),
                ]
            }
        };
        Ok(Plan {
            program: self.programs.file(member.role.program()),
            args,
            log: self.log(member),
            env,
            dir,
        })
    }

    fn script(&self, name: &str) -> PathBuf {
        self.state.join("scripts").join(name)
    }

    fn redis(&self, member: &Member, dir: &Path) -> Rendering {
        let listens = if self.settings.gives_slots {
            front::behind(&member.addr)
        } else {
            member.addr.clone()
        };
        Rendering::words(files::REDIS)
            .set("bind", listens.host())
            .set("port", listens.port())
            .set("replica-announce-ip", member.addr.host())
            .set("replica-announce-port", member.addr.port())
            .set("dir", text(dir))
    }

    fn dashboard(&self, member: &Member) -> Rendering {
        let millis = |span: Duration| format!("{}ms", span.as_millis());
        let quorum = self.layout.sentinels().count() / 2 + 1;
        let rendering = Rendering::toml(files::DASHBOARD);
        let rendering = if self.settings.gives_slots {
            rendering.set("migration_method", "sync")
        } else {
            rendering
        };
        rendering
            .set("product_name", PRODUCT)
            .set("admin_addr", &member.addr)
            .set("coordinator_name", "filesystem")
            .set("coordinator_addr", text(&self.state.join("coordinator")))
            .set("leader_lease", millis(self.settings.leader_lease))
            .set_number("sentinel_quorum", quorum)
            .set("sentinel_down_after", millis(self.settings.down_after))
            .set(
                "sentinel_failover_timeout",
                millis(self.settings.failover_timeout),
            )
            .set(
                "sentinel_notification_script",
                text(&self.script("notify.sh")),
            )
            .set(
                "sentinel_client_reconfig_script",
                text(&self.script("client-reconfig.sh")),
            )
    }
}

fn sentinel(member: &Member, dir: &Path) -> Rendering {
    Rendering::words(files::SENTINEL)
        .set("bind", member.addr.host())
        .set("port", member.addr.port())
        .set("dir", text(dir))
        .set("sentinel announce-ip", member.addr.host())
        .set("sentinel announce-port", member.addr.port())
        .set("sentinel deny-scripts-reconfig", "no")
}

fn proxy(member: &Member) -> Rendering {
    Rendering::toml(files::PROXY)
        .set("product_name", PRODUCT)
        .set("admin_addr", &member.admin)
        .set("proxy_addr", &member.addr)
}

fn config_flag(file: String) -> String {
    format!("--config={file}")
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

fn write(file: &Path, rendering: &Rendering) -> io::Result<String> {
    fs::write(file, rendering.text())?;
    Ok(text(file))
}

fn write_once(file: &Path, rendering: &Rendering) -> io::Result<String> {
    if file.exists() {
        Ok(text(file))
    } else {
        write(file, rendering)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::Net;

    #[test]
    fn a_server_keeps_what_it_rewrote_and_a_proxy_does_not() {
        let state = tempfile::tempdir().unwrap();
        let layout = Layout::six_hosts(Net::STANDARD);
        let programs = Programs::in_dir("/nowhere");
        let planner = Planner::new(
            layout.clone(),
            programs,
            state.path().to_owned(),
            Settings::default(),
        );
        let again = |member: &Member, name: &str| {
            planner.plan(member).unwrap();
            let file = planner.dir(member).join(name);
            fs::write(&file, "changed").unwrap();
            planner.plan(member).unwrap();
            fs::read_to_string(file).unwrap() == "changed"
        };
        assert!(again(layout.redis().next().unwrap(), "redis.conf"));
        assert!(again(layout.sentinels().next().unwrap(), "sentinel.conf"));
        assert!(!again(layout.proxies().next().unwrap(), "proxy.toml"));
    }
}
