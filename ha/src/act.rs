//! Carrying out what was decided, through the dashboard.

use codis_runtime::http::{Client, ClientError};

use crate::judge::Act;

/// Asks the dashboard at `addr` for `act`.
///
/// # Errors
/// The dashboard refused or did not answer; it may have acted then.
pub async fn carry_out(
    client: &Client,
    addr: &str,
    xauth: &str,
    act: &Act,
) -> Result<(), ClientError> {
    let path = match act {
        // All witnesses agree that the master is dead, also if its host is and refuses nothing. A
        // dashboard of Codis does not look at the query.
        Act::Promote { group, candidate } => {
            format!("/api/topom/group/promote/{xauth}/{group}/{candidate}?force=1")
        }
        Act::Reattach { server } => format!("/api/topom/group/action/create/{xauth}/{server}"),
    };
    client.put::<String>(addr, &path).await.map(drop)
}
