//! `codis-drill up`: the cluster as a playground.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use codis_chaos::cluster::{Cluster, Leader, Masters, Options};
use codis_chaos::layout::{Layout, Member, Role};
use codis_chaos::process::describe;
use codis_chaos::scenario::table;
use codis_chaos::talk::Talk;

/// How long a process that ended stays down, as a service manager would have it: long enough to
/// watch a failover.
const RESTART_AFTER: Duration = Duration::from_secs(5);
const LOOK_EVERY: Duration = Duration::from_millis(200);
const AGREE_MAX: Duration = Duration::from_secs(30);

/// Starts the cluster and keeps it up until the caller drops this.
pub async fn run(options: &Options, talk: &Talk) -> anyhow::Result<ExitCode> {
    let mut cluster = Cluster::up(options, talk).await?;
    let masters = cluster.agree(AGREE_MAX).await?;
    let leader = cluster.leader().await;
    println!("{}", overview(&cluster, &masters, leader.as_ref()));
    println!(
        "{}",
        hints(cluster.layout(), &masters, &options.programs.dir)
    );
    watch(&mut cluster, talk).await
}

/// Starts again what ended.
async fn watch(cluster: &mut Cluster, talk: &Talk) -> anyhow::Result<ExitCode> {
    let mut due: BTreeMap<String, Instant> = BTreeMap::new();
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        for ended in cluster.ended() {
            let name = ended.member.name();
            let restart = *due.entry(name.clone()).or_insert_with(|| {
                let seconds = RESTART_AFTER.as_secs();
                let how = describe(ended.status);
                talk.line(format!(
                    "{name} ended ({how}); started again in {seconds} s"
                ));
                Instant::now() + RESTART_AFTER
            });
            if Instant::now() >= restart {
                due.remove(&name);
                cluster.restart(&ended.member.addr)?;
                talk.line(format!("{name} started"));
            }
        }
    }
}

fn overview(cluster: &Cluster, masters: &Masters, leader: Option<&Leader>) -> String {
    let mut shown = table(&["host", "process", "address", "role", "log"]);
    for member in &cluster.layout().members {
        let log = cluster.planner().log(member);
        shown.add_row([
            member.host.name(),
            member.role.program().to_owned(),
            member.addr.to_string(),
            role(member, masters, leader),
            display(&log),
        ]);
    }
    shown.to_string()
}

fn role(member: &Member, masters: &Masters, leader: Option<&Leader>) -> String {
    match member.role {
        Role::Redis { group } => {
            let is_master = masters
                .get(&group)
                .is_some_and(|(addr, _)| *addr == member.addr);
            let role = if is_master { "master" } else { "replica" };
            format!("group {group}, {role}")
        }
        Role::Sentinel => "watches all groups".to_owned(),
        Role::Proxy => format!("for clients; admin on {}", member.admin.port()),
        Role::Dashboard => match leader.filter(|leader| leader.addr == member.addr) {
            Some(leader) => format!("leads, term {}", leader.term),
            None => "stands by".to_owned(),
        },
        Role::FrontEnd => "the web page".to_owned(),
    }
}

/// A path below the working directory, without it.
fn display(path: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(here)
        .unwrap_or(path)
        .display()
        .to_string()
}

fn hints(layout: &Layout, masters: &Masters, programs: &Path) -> String {
    let admin = display(&programs.join("codis-admin"));
    let dashboards = layout.dashboard_list();
    let mut proxies = layout.proxies().map(|proxy| &proxy.addr);
    let mut lines = vec!["Everything agrees. Try, in another terminal:".to_owned()];
    if let (Some(one), Some(two)) = (proxies.next(), proxies.next()) {
        lines.push(format!(
            "  redis-cli -h {} -p {} set k v",
            one.host(),
            one.port()
        ));
        lines.push(format!(
            "  redis-cli -h {} -p {} get k",
            two.host(),
            two.port()
        ));
    }
    lines.push(format!("  export CODIS_DASHBOARD={dashboards}"));
    lines.push(format!("  {admin} --group-status"));
    lines.push(format!("  {admin} --slots-status"));
    for board in layout.dashboards() {
        lines.push(format!("  curl http://{}/topom/leader", board.addr));
    }
    if let Some(front_end) = layout.front_end() {
        lines.push(format!("  a browser on http://{front_end}/"));
    }
    if let Some(sentinel) = layout.sentinels().next() {
        let (host, port) = (sentinel.addr.host(), sentinel.addr.port());
        lines.push(format!("  redis-cli -h {host} -p {port} psubscribe '*'"));
    }
    if let Some((master, _)) = masters.values().next() {
        let (host, port) = (master.host(), master.port());
        let pid = r"sed -n 's/process_id:\([0-9]*\).*/\1/p'";
        lines.push(format!(
            "  kill -9 $(redis-cli -h {host} -p {port} info server | {pid})"
        ));
    }
    lines.push("Ctrl-C stops everything and keeps the data.".to_owned());
    lines.join("\n")
}
