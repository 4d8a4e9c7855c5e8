//! `codis-drill status`: what each process of a running cluster says of itself.

use std::fmt;
use std::process::ExitCode;

use serde::Serialize;

use codis_chaos::control::{Control, Who};
use codis_chaos::layout::{Layout, Member, Net, PRODUCT, Role};
use codis_chaos::query;
use codis_chaos::scenario::table;

use super::{EXIT_FAIL, Output, show};

/// The cluster on one net.
#[derive(Serialize)]
struct Status {
    members: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    host: String,
    process: &'static str,
    addr: String,
    up: bool,
    /// Its role, or why it does not answer.
    says: String,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = table(&["host", "process", "address", "", "says"]);
        for row in &self.members {
            let up = if row.up { "up" } else { "DOWN" };
            shown.add_row([&row.host, row.process, &row.addr, up, &row.says]);
        }
        shown.fmt(f)
    }
}

/// Asks every process of the cluster on `net`, which another program has started.
pub async fn run(net: Net, output: Output) -> anyhow::Result<ExitCode> {
    let layout = Layout::six_hosts(net);
    let control = Control::new(layout.dashboards().map(|board| &board.addr));
    let mut members = Vec::new();
    for member in &layout.members {
        let says = ask(&control, member).await;
        members.push(Row {
            host: member.host.name(),
            process: member.role.program(),
            addr: member.addr.to_string(),
            up: says.is_ok(),
            says: says.unwrap_or_else(|error| format!("{error:#}")),
        });
    }
    let all = members.iter().all(|row| row.up);
    show(&Status { members }, output)?;
    let code = if all { 0 } else { EXIT_FAIL };
    Ok(ExitCode::from(code))
}

async fn ask(control: &Control, member: &Member) -> anyhow::Result<String> {
    Ok(match member.role {
        Role::Redis { group } => {
            let info = query::info(&member.addr, "replication").await?;
            let of = |key: &str| info.get(key).map_or("?", String::as_str);
            match of("role") {
                "slave" => {
                    let (host, port) = (of("master_host"), of("master_port"));
                    let link = of("master_link_status");
                    format!("group {group}, follows {host}:{port}, link {link}")
                }
                role => format!("group {group}, {role}"),
            }
        }
        Role::Sentinel => {
            let records = query::topology(&member.addr).await?;
            let told = records
                .iter()
                .map(|record| format!("{} {} at {}", record.name, record.master, record.epoch));
            told.collect::<Vec<_>>().join(", ")
        }
        Role::Proxy => {
            let stats = control.proxy_stats(&member.admin).await?;
            let online = if stats.online { "online" } else { "not online" };
            format!("{online}; admin on {}", member.admin.port())
        }
        Role::Dashboard => lead(control.who(&member.addr).await?),
        Role::FrontEnd => {
            let products = control.products(&member.addr).await?;
            anyhow::ensure!(
                products.iter().any(|product| product == PRODUCT),
                "it lists {products:?}, without {PRODUCT}"
            );
            format!("lists {}", products.join(", "))
        }
    })
}

fn lead(who: Who) -> String {
    match (who.leading, who.term, who.leader) {
        (true, Some(term), _) => format!("leads, term {term}"),
        (true, None, _) => "leads".to_owned(),
        (false, _, Some(leader)) => format!("stands by for {leader}"),
        (false, _, None) => "stands by, knows no leader".to_owned(),
    }
}
