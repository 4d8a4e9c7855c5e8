//! `--rebalance`: a plan of migrations that evens the groups out.

use std::collections::BTreeMap;

use anyhow::{Context, bail};
use codis_runtime::http::ClientError;
use serde_json::Value;

use super::{Dashboard, advised, wait};
use crate::cli::Options;
use crate::output::Answer;

/// Shows the plan, and with `--confirm` has it carried out.
pub async fn run(dashboard: &Dashboard, options: &Options) -> anyhow::Result<Answer> {
    let confirm = options.has("confirm");
    if options.has("wait") && !confirm {
        bail!("--wait goes with --confirm: without it nothing moves");
    }
    let mut path = dashboard.path("slots/rebalance", &[if confirm { "1" } else { "0" }]);
    if let Some(by) = options.text("by") {
        knows_weights(dashboard).await?;
        path.push_str("?by=");
        path.push_str(by);
    }
    let plan: BTreeMap<u16, u32> =
        advised(dashboard.put_path(&path).await).context("rebalance the slots")?;
    if !confirm && !plan.is_empty() {
        eprintln!(
            "codis-admin: nothing was changed; add --confirm to move these {} slots",
            plan.len()
        );
    }
    let answer = Answer::lines(lines(&plan), &plan)?;
    if options.has("wait") {
        answer.show(options.json())?;
        wait::until_moved(dashboard, &plan).await?;
        return Ok(Answer::Printed);
    }
    Ok(answer)
}

/// Refuses `--by` at a dashboard that would ignore it and plan by slots: an original one, told by a
/// page that it does not have.
async fn knows_weights(dashboard: &Dashboard) -> anyhow::Result<()> {
    let page: Result<Value, _> = dashboard.get_path("/topom/slots/ranges").await;
    match page {
        Err(ClientError::Status { code: 404, .. }) => bail!(
            "this dashboard plans by the number of slots only: leave --by out, or upgrade it first"
        ),
        Ok(_) | Err(_) => Ok(()),
    }
}

/// Runs of slots with the same target, and the closing word.
fn lines(plan: &BTreeMap<u16, u32>) -> String {
    let mut runs: Vec<(u16, u16, u32)> = Vec::new();
    for (slot, group) in plan {
        match runs.last_mut() {
            Some((_, end, target)) if target == group && *end + 1 == *slot => *end = *slot,
            _ => runs.push((*slot, *slot, *group)),
        }
    }
    if runs.is_empty() {
        return "nothing changes\n".to_owned();
    }
    let mut text = String::new();
    for (beg, end, group) in runs {
        text.push_str(&format!("[{beg:04},{end:04}] => {group}\n"));
    }
    text.push_str("done\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_printed_as_the_original_prints_them() {
        let first = (0..512).map(|slot| (slot, 1));
        let plan = first.chain((512..1024).map(|slot| (slot, 2))).collect();
        assert_eq!(
            lines(&plan),
            "[0000,0511] => 1\n[0512,1023] => 2\ndone\n",
            "two groups that were made a moment ago"
        );
        let plan = BTreeMap::from([(7, 3), (8, 3), (10, 3), (11, 12)]);
        assert_eq!(
            lines(&plan),
            "[0007,0008] => 3\n[0010,0010] => 3\n[0011,0011] => 12\ndone\n"
        );
        assert_eq!(lines(&BTreeMap::new()), "nothing changes\n");
    }
}
