//! Reports to statsd: gauges in UDP datagrams.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use codis_core::api::ProxyStats;
use codis_core::model;
use tokio::net::UdpSocket;

use super::usage::{Figure, figures};
use crate::control::Control;
use crate::control::figures::FLAG_RUNTIME;

/// Bytes of one datagram, so that it passes any network whole.
const DATAGRAM_MAX: usize = 1432;

/// Sends all gauges.
pub async fn send(control: &Control) -> Result<(), String> {
    let settings = control.settings();
    let server = &settings.metrics_report_statsd_server;
    let prefix = &settings.metrics_report_statsd_prefix;
    let datagrams = datagrams(&lines(prefix, &control.model, &control.stats(FLAG_RUNTIME)));
    send_to(server, &datagrams)
        .await
        .map_err(|error| format!("send to {server}: {error}"))
}

async fn send_to(server: &str, datagrams: &[String]) -> io::Result<()> {
    let target = tokio::net::lookup_host(server).await?.next();
    let target = target.ok_or_else(|| io::Error::other("no address"))?;
    let any: SocketAddr = if target.is_ipv4() {
        (Ipv4Addr::UNSPECIFIED, 0).into()
    } else {
        (Ipv6Addr::UNSPECIFIED, 0).into()
    };
    let socket = UdpSocket::bind(any).await?;
    for datagram in datagrams {
        socket.send_to(datagram.as_bytes(), target).await?;
    }
    Ok(())
}

/// One gauge a line. An empty prefix leaves its dot, as with the original.
fn lines(prefix: &str, model: &model::Proxy, stats: &ProxyStats) -> Vec<String> {
    let flat = |addr: &str| addr.replace(['.', ':'], "_");
    let (admin, proxy) = (flat(&model.admin_addr), flat(&model.proxy_addr));
    let product = &model.product_name;
    let line = |(field, figure): (&str, Figure)| match figure {
        Figure::Whole(value) | Figure::Text(value) => {
            format!("{prefix}.{product}.{admin}.{proxy}.{field}:{value}|g")
        }
        Figure::Fraction(value) => {
            format!("{prefix}.{product}.{admin}.{proxy}.{field}:{value}|g")
        }
    };
    figures(stats).into_iter().map(line).collect()
}

/// As many lines in a datagram as fit.
fn datagrams(lines: &[String]) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    for line in lines {
        match out.last_mut() {
            Some(last) if last.len() + 1 + line.len() <= DATAGRAM_MAX => {
                last.push('\n');
                last.push_str(line);
            }
            Some(_) | None => out.push(line.clone()),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gauges_have_the_form_of_the_original() {
        let model = model::Proxy {
            admin_addr: "10.0.0.1:11080".to_owned(),
            proxy_addr: "h1:19000".to_owned(),
            product_name: "codis-demo".to_owned(),
            ..model::Proxy::default()
        };
        let lines = lines("", &model, &ProxyStats::default());
        assert_eq!(lines.len(), 14);
        assert_eq!(
            lines[0],
            ".codis-demo.10_0_0_1_11080.h1_19000.ops_total:0|g"
        );
        assert_eq!(
            lines[7],
            ".codis-demo.10_0_0_1_11080.h1_19000.rusage_cpu:0|g"
        );
    }

    #[test]
    fn datagrams_hold_whole_lines_up_to_their_size() {
        let lines: Vec<String> = (0..14).map(|n| format!("{n}{}", "x".repeat(200))).collect();
        let sent = datagrams(&lines);
        assert!(sent.len() > 1 && sent.iter().all(|one| one.len() <= DATAGRAM_MAX));
        let joined: Vec<&str> = sent.iter().flat_map(|one| one.split('\n')).collect();
        assert_eq!(joined, lines);
    }
}
