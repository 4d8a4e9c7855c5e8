//! The other products of the same store, to read.

use codis_core::model::Group;
use codis_core::paths;

use super::{Error, Store};

impl Store {
    /// The groups of all other products, each with its product. A record that is no group is passed
    /// over: it is not ours to judge.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn other_groups(&self) -> Result<Vec<(String, Group)>, Error> {
        let unread = |cause: codis_runtime::coordinator::Error| Error {
            text: "store: load products failed".to_owned(),
            cause: cause.to_string(),
            fenced: false,
        };
        let mut found = Vec::new();
        for path in self.coordinator.list(paths::ROOT).await.map_err(unread)? {
            let product = path.rsplit('/').next().unwrap_or_default();
            if product.is_empty() || product == self.product {
                continue;
            }
            let groups = self.coordinator.read_dir(&paths::groups(product)).await;
            for (_, record) in groups.map_err(unread)? {
                if let Ok(group) = codis_core::json::decode(&record) {
                    found.push((product.to_owned(), group));
                }
            }
        }
        Ok(found)
    }
}
