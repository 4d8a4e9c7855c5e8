//! When a freshly started process can be talked to.

use std::time::Duration;

use crate::control::Control;
use crate::layout::{Member, PRODUCT, Role};
use crate::query;

/// How long all processes together may take; a server may have data to load.
pub const READY_MAX: Duration = Duration::from_secs(60);

/// Asks `member` whether it is up.
pub async fn check(control: &Control, member: &Member) -> anyhow::Result<()> {
    match member.role {
        Role::Redis { .. } | Role::Sentinel => query::pings(&member.addr).await?,
        Role::Proxy => drop(control.proxy_model(&member.admin).await?),
        // It answers before it leads, and before it knows who does.
        Role::Dashboard => {
            let who = control.who(&member.addr).await?;
            anyhow::ensure!(
                who.leading || who.leader.is_some(),
                "it does not lead and knows nobody who does"
            );
        }
        Role::FrontEnd => {
            let products = control.products(&member.addr).await?;
            anyhow::ensure!(
                products.iter().any(|product| product == PRODUCT),
                "it lists {products:?}, without {PRODUCT}"
            );
        }
    }
    Ok(())
}
