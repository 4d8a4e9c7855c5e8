//! `ACL LOAD` and `ACL SAVE`. The file is read and written on a thread that may block.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use codis_core::resp::Value;
use tokio::sync::oneshot;

use super::super::super::session::Session;
use super::super::super::{Answer, Call, Shared};
use super::error;
use crate::acl::{PubsubDefault, Users, file_text, parse_file};
use crate::state;

/// Why the users of a file cannot be used. The text follows the code of the error reply.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// It cannot be read.
    #[error("Error loading ACLs, opening file '{}': {}", path.display(), in_words(error))]
    Read {
        /// The file, as the operator wrote it.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// It is wrong.
    #[error(transparent)]
    Content(#[from] crate::acl::FileErrors),
}

/// What the system says, without the number that the standard library adds.
fn in_words(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error")
        .next()
        .unwrap_or_default()
        .to_owned()
}

/// Reads a file of users.
///
/// # Errors
/// It cannot be read, or is wrong; the text has every problem.
pub fn read(path: &Path, pubsub: PubsubDefault) -> Result<Users, LoadError> {
    let bytes = std::fs::read(path).map_err(|error| LoadError::Read {
        path: path.to_owned(),
        error,
    })?;
    let text = String::from_utf8_lossy(&bytes);
    Ok(parse_file(&path.display().to_string(), &text, pubsub)?)
}

/// Answers ACL LOAD.
pub async fn load(session: &Session) -> Answer {
    let shared = Arc::clone(&session.shared);
    let Some(path) = shared.access.file.clone() else {
        return no_file().into();
    };
    let _guard = shared.access.file_use.lock().await;
    let pubsub = shared.access.state().users.pubsub_default();
    let read = tokio::task::spawn_blocking(move || read(&path, pubsub)).await;
    let users = match read {
        Ok(Ok(users)) => users,
        Ok(Err(problem)) => return error(format!("ERR {problem}")).into(),
        Err(problem) => return failed(&shared, "load", &problem).into(),
    };
    let (answer, answered) = oneshot::channel();
    let call = Call::Users {
        session: session.id,
        users,
        answer,
    };
    // Neither can fail while the loop lives, and with the loop the process ends.
    let _ = shared.calls.send(call).await;
    answered.await.unwrap_or_else(|_| Value::ok().into())
}

/// Answers ACL SAVE.
pub async fn save(session: &Session) -> Answer {
    let shared = Arc::clone(&session.shared);
    let Some(path) = shared.access.file.clone() else {
        return no_file().into();
    };
    let _guard = shared.access.file_use.lock().await;
    let content = file_text(&shared.access.state().users);
    let write = move || state::replace(&path, content.as_bytes());
    let written = tokio::task::spawn_blocking(write).await;
    match written.unwrap_or_else(|error| Err(io::Error::other(error))) {
        Ok(()) => Value::ok().into(),
        Err(problem) => failed(&shared, "save", &problem).into(),
    }
}

fn no_file() -> Value {
    Value::error(
        "ERR This Redis instance is not configured to use an ACL file. You may want to specify \
         users via the ACL SETUSER command and then issue a CONFIG REWRITE (assuming you have a \
         Redis configuration file set) in order to store users in the Redis configuration.",
    )
}

fn failed(shared: &Shared, what: &str, problem: &dyn std::fmt::Display) -> Value {
    let text = format!("Cannot {what} the ACL file: {problem}");
    shared.log.warning(&text);
    error(format!(
        "ERR There was an error trying to {what} the ACLs. Please check the server logs for more \
         information"
    ))
}
