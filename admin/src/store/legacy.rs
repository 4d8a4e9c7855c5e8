//! `--config-dump -1`: the tree of Codis 1 and 2, which keeps a product below `/zk/codis/db_NAME`.
//!
//! A node with children becomes an object of them, another one its value. Of those trees this tool
//! writes nothing.

use anyhow::bail;
use codis_core::paths;
use serde_json::{Map, Value};

use super::records::Records;
use crate::output::Answer;
use crate::progress::Bar;

/// Where the products of Codis 1 and 2 are.
const ROOT: &str = "/zk/codis";
/// How deep a tree may be; those of Codis have three levels.
const DEPTH_MAX: usize = 16;

/// Prints the tree of a product.
pub async fn run(records: &Records, product: &str) -> anyhow::Result<Answer> {
    paths::check_product_name(product)?;
    let bar = Bar::new("nodes read", 0);
    let tree = read(records, format!("{ROOT}/db_{product}"), DEPTH_MAX, &bar).await?;
    drop(bar);
    if !tree.is_object() {
        bail!(
            "cann't find product = {product} [v1]; is it the right coordinator? Codis 1 and 2 keep \
             products below {ROOT}"
        );
    }
    Ok(Answer::Json(tree))
}

async fn read(records: &Records, path: String, depth: usize, bar: &Bar) -> anyhow::Result<Value> {
    bar.step();
    let children = records.children(&path).await?;
    if children.is_empty() {
        let value = records.bytes(&path).await?;
        return Ok(value.map_or(Value::Null, |value| leaf(&path, &value, bar)));
    }
    if depth == 0 {
        bail!("{path} lies deeper than {DEPTH_MAX} levels: this is no tree of Codis");
    }
    let mut members = Map::new();
    for child in children {
        let name = child.rsplit('/').next().unwrap_or_default().to_owned();
        let value = Box::pin(read(records, child, depth - 1, bar)).await?;
        members.insert(name, value);
    }
    Ok(Value::Object(members))
}

/// The value of a node. What is no JSON stays as text: a lock or a foreign node must not keep the
/// rest from being saved.
fn leaf(path: &str, value: &[u8], bar: &Bar) -> Value {
    if value.is_empty() {
        return Value::Null;
    }
    serde_json::from_slice(value).unwrap_or_else(|_| {
        bar.note(&format!("{path} holds no JSON; it is in the dump as text"));
        Value::String(String::from_utf8_lossy(value).into_owned())
    })
}
