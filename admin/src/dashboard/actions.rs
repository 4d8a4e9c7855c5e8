//! `--slot-action`: slots that migrate from group to group.

use std::collections::BTreeMap;

use codis_core::model::{ActionState, SlotMapping};

use super::{Dashboard, wait};
use crate::cli::{Invocation, Options};
use crate::output::Answer;

/// Carries out one form of `--slot-action`.
pub async fn run(dashboard: &Dashboard, invocation: &Invocation) -> anyhow::Result<Answer> {
    let options = &invocation.options;
    let form = invocation.action.form;
    match form {
        "create" | "create-some" | "create-range" => queue(dashboard, form, options).await,
        "remove" | "cancel" => {
            let sid = number(options, "sid")?;
            dashboard
                .put(&format!("slots/action/{form}"), &[&sid])
                .await
        }
        setting => {
            let value = options.needed_integer(setting)?.to_string();
            let call = format!("slots/action/{setting}");
            dashboard.put(&call, &[&value]).await
        }
    }
}

/// Queues slots, and with `--wait` stays until they have moved.
async fn queue(dashboard: &Dashboard, form: &str, options: &Options) -> anyhow::Result<Answer> {
    let names: &[&str] = match form {
        "create" => &["sid", "gid"],
        "create-some" => &["gid-from", "gid-to", "num-slots"],
        _ => &["beg", "end", "gid"],
    };
    let values: Vec<String> = names
        .iter()
        .map(|name| number(options, name))
        .collect::<anyhow::Result<_>>()?;
    let values: Vec<&str> = values.iter().map(String::as_str).collect();
    let before = if options.has("wait") {
        dashboard.stats().await?.slots
    } else {
        Vec::new()
    };
    let call = format!("slots/action/{form}");
    let answer = dashboard.put(&call, &values).await?;
    if options.has("wait") {
        let to = options.number("gid-to").or(options.number("gid"));
        let now = dashboard.stats().await?.slots;
        let queued = queued(&before, &now, to.unwrap_or_default());
        wait::until_moved(dashboard, &queued).await?;
    }
    Ok(answer)
}

/// The slots that were idle elsewhere before, and now are on their way to `group`, or there.
fn queued(before: &[SlotMapping], now: &[SlotMapping], group: u32) -> BTreeMap<u16, u32> {
    let idle =
        |slot: &&SlotMapping| slot.action.state == ActionState::Nothing && slot.group_id != group;
    let idle: Vec<u16> = before.iter().filter(idle).map(|slot| slot.id).collect();
    now.iter()
        .filter(|slot| slot.group_id == group || slot.action.target_id == group)
        .filter(|slot| idle.contains(&slot.id))
        .map(|slot| (slot.id, group))
        .collect()
}

fn number(options: &Options, option: &str) -> anyhow::Result<String> {
    Ok(options.needed_number(option)?.to_string())
}

#[cfg(test)]
mod tests {
    use codis_core::model::SlotAction;

    use super::*;

    fn slot(id: u16, group_id: u32, target_id: u32) -> SlotMapping {
        let state = if target_id == 0 {
            ActionState::Nothing
        } else {
            ActionState::Pending
        };
        let action = SlotAction {
            state,
            target_id,
            ..SlotAction::default()
        };
        SlotMapping {
            id,
            group_id,
            action,
        }
    }

    #[test]
    fn only_what_this_command_queued_is_waited_for() {
        let before = [
            slot(0, 1, 0),
            slot(1, 1, 0),
            slot(2, 1, 2),
            slot(3, 2, 0),
            slot(4, 1, 0),
        ];
        let now = [
            slot(0, 1, 2),
            slot(1, 2, 0),
            slot(2, 1, 2),
            slot(3, 2, 0),
            slot(4, 1, 0),
        ];
        assert_eq!(
            queued(&before, &now, 2),
            BTreeMap::from([(0, 2), (1, 2)]),
            "one on its way, one there already"
        );
    }
}
