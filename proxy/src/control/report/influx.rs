//! Reports to InfluxDB 1.x: one point in line protocol.

use std::time::{SystemTime, UNIX_EPOCH};

use codis_core::api::ProxyStats;
use codis_core::model;
use codis_runtime::http::Client;

use super::usage::{Figure, figures};
use crate::control::Control;
use crate::control::figures::FLAG_RUNTIME;

const MEASUREMENT: &str = "codis_usage";

/// Writes one point.
pub async fn send(control: &Control, client: &Client) -> Result<(), String> {
    let settings = control.settings();
    let url = format!(
        "{}/write?consistency=&db={}&precision=ns&rp=",
        settings
            .metrics_report_influxdb_server
            .trim_end_matches('/'),
        in_query(&settings.metrics_report_influxdb_database)
    );
    let user = settings.metrics_report_influxdb_username.as_str();
    let password = settings.metrics_report_influxdb_password.as_str();
    let login = (!user.is_empty()).then_some((user, password));
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let nanos = now.map_or(0, |span| span.as_nanos());
    let line = line(&control.model, &control.stats(FLAG_RUNTIME), nanos);
    let answer = client
        .post(&url, "text/plain; charset=utf-8", login, line.into())
        .await;
    match answer {
        Ok((200 | 204, _)) => Ok(()),
        Ok((status, text)) => Err(format!("status {status}: {}", text.trim())),
        Err(error) => Err(error.to_string()),
    }
}

/// The point of `nanos` nanoseconds since 1970. A tag without a value is left out, since the
/// protocol has none.
fn line(model: &model::Proxy, stats: &ProxyStats, nanos: u128) -> String {
    let tags = [
        ("admin_addr", &model.admin_addr),
        ("hostname", &model.hostname),
        ("product_name", &model.product_name),
        ("proxy_addr", &model.proxy_addr),
        ("token", &model.token),
    ];
    let mut out = MEASUREMENT.to_owned();
    for (name, value) in tags {
        if !value.is_empty() {
            out.push_str(&format!(",{name}={}", escaped(value)));
        }
    }
    for (index, (name, figure)) in figures(stats).into_iter().enumerate() {
        out.push(if index == 0 { ' ' } else { ',' });
        out.push_str(&match figure {
            Figure::Whole(value) => format!("{name}={value}i"),
            Figure::Fraction(value) => format!("{name}={value}"),
            Figure::Text(value) => format!("{name}=\"{value}\""),
        });
    }
    out.push_str(&format!(" {nanos}\n"));
    out
}

/// A tag value: comma, equals sign and space stand behind a backslash. A line break would end the
/// point, and none of these values has one by right.
fn escaped(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for c in value.chars() {
        match c {
            ',' | '=' | ' ' => out.extend(['\\', c]),
            '\n' | '\r' => out.push('_'),
            other => out.push(other),
        }
    }
    out
}

/// A value in the query of a URL.
fn in_query(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for byte in value.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                out.push(char::from(byte));
            }
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use codis_core::api::{Ops, Runtime, Rusage};

    use super::*;

    #[test]
    fn a_point_has_the_form_of_the_original() {
        let model = model::Proxy {
            token: "t".to_owned(),
            admin_addr: "10.0.0.1:11080".to_owned(),
            proxy_addr: "10.0.0.1:19000".to_owned(),
            product_name: "a b,c=d".to_owned(),
            ..model::Proxy::default()
        };
        let stats = ProxyStats {
            ops: Ops {
                total: 7,
                ..Ops::default()
            },
            rusage: Rusage {
                cpu: 0.25,
                ..Rusage::default()
            },
            runtime: Some(Runtime::default()),
            ..ProxyStats::default()
        };
        assert_eq!(
            line(&model, &stats, 12),
            "codis_usage,admin_addr=10.0.0.1:11080,product_name=a\\ b\\,c\\=d,\
             proxy_addr=10.0.0.1:19000,token=t ops_total=7i,ops_fails=0i,ops_redis_errors=0i,\
             ops_qps=0i,sessions_total=0i,sessions_alive=0i,rusage_mem=0i,rusage_cpu=0.25,\
             runtime_gc_num=0i,runtime_gc_total_pausems=\"0\",runtime_num_procs=0i,\
             runtime_num_goroutines=0i,runtime_num_cgo_call=0i,runtime_num_mem_offheap=0i 12\n"
        );
        assert_eq!(in_query("a b&c"), "a%20b%26c");
    }
}
