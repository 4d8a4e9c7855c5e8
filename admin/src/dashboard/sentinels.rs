//! Sentinels of the product.

use super::Dashboard;
use crate::cli::Invocation;
use crate::output::Answer;

/// Carries out an action on sentinels.
pub async fn run(dashboard: &Dashboard, invocation: &Invocation) -> anyhow::Result<Answer> {
    let options = &invocation.options;
    match invocation.action.verb {
        "sentinel-add" => {
            dashboard
                .put("sentinels/add", &[options.needed("addr")?])
                .await
        }
        "sentinel-del" => {
            let force = if options.has("force") { "1" } else { "0" };
            dashboard
                .put("sentinels/del", &[options.needed("addr")?, force])
                .await
        }
        _ => dashboard.put("sentinels/resync-all", &[]).await,
    }
}
