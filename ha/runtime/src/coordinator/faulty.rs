//! A store before which, and behind which, a process dies when a test wants it: see
//! [`fault`](crate::fault).
//!
//! The points are `store.write.before` and `store.write.after` each change, and
//! `store.write.unanswered` for one that is made while its answer is lost.

use async_trait::async_trait;

use super::{
    At, Coordinator, Ephemeral, Error, Guard, Lock, LockError, Shared, Takeover, Watch, Write,
};
use crate::fault;

/// The store itself.
#[derive(Debug)]
pub struct Faulty(pub Shared);

/// Waits for a change, unless the process dies before it or after it.
async fn change<T>(path: &str, made: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    fault::point("store.write.before");
    let done = made.await?;
    fault::point("store.write.after");
    if fault::is_due("store.write.unanswered") {
        let at = At {
            operation: "change",
            path: path.to_owned(),
            store: "a store whose answer a test has lost".to_owned(),
        };
        let reason = "lost".to_owned();
        return Err(Error::Unanswered { at, reason });
    }
    Ok(done)
}

#[async_trait]
impl Coordinator for Faulty {
    async fn create(&self, path: &str, value: &[u8]) -> Result<(), Error> {
        change(path, self.0.create(path, value)).await
    }

    async fn update(&self, path: &str, value: &[u8]) -> Result<(), Error> {
        change(path, self.0.update(path, value)).await
    }

    async fn delete(&self, path: &str) -> Result<(), Error> {
        change(path, self.0.delete(path)).await
    }

    async fn read(&self, path: &str) -> Result<Option<Vec<u8>>, Error> {
        self.0.read(path).await
    }

    async fn list(&self, path: &str) -> Result<Vec<String>, Error> {
        self.0.list(path).await
    }

    async fn read_dir(&self, path: &str) -> Result<Vec<(String, Vec<u8>)>, Error> {
        self.0.read_dir(path).await
    }

    async fn lock(&self, path: &str, value: &[u8], takeover: Takeover) -> Result<Lock, LockError> {
        self.0.lock(path, value, takeover).await
    }

    async fn commit(&self, writes: &[Write<'_>], guards: &[Guard<'_>]) -> Result<(), Error> {
        let path = writes.first().map_or("/", |write| write.path);
        change(path, self.0.commit(writes, guards)).await
    }

    async fn create_ephemeral(
        &self,
        path: &str,
        value: &[u8],
        replacing: Option<&[u8]>,
    ) -> Result<Ephemeral, Error> {
        self.0.create_ephemeral(path, value, replacing).await
    }

    async fn watch(&self, path: &str) -> Result<Watch, Error> {
        self.0.watch(path).await
    }
}
