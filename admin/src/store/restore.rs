//! `--config-restore`: writes a dump into a product that has no groups and no proxies.
//!
//! The records are written in pieces, each whole or not at all. A mark beside them says which dump
//! is being written, and every piece is written only while the mark is there. A restore that was
//! cut short is finished by the same command: it finds its mark and writes all pieces again. The
//! mark goes when everything is there.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use codis_core::model::{ActionState, SlotMapping, Topom};
use codis_core::{json, paths};
use codis_runtime::coordinator::Expected;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::dump::Dump;
use super::plan::{self, Held};
use super::records::{self, Records};
use super::{check, dump, file};
use crate::cli::Options;
use crate::output::Answer;
use crate::progress::Bar;
use crate::talk::Talk;

/// The name of the mark below `ha/`.
pub const MARK: &str = "restore";
/// How long the dashboard of the product may take to show that it lives.
const DASHBOARD_MAX: Duration = Duration::from_secs(3);
/// Problems that an error lists.
const PROBLEMS_SHOWN_MAX: usize = 10;

/// What the mark holds.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Mark {
    /// Tells one dump from another.
    digest: String,
    /// How many records it has.
    records: usize,
}

/// What a dashboard of ours says of itself.
#[derive(Deserialize)]
struct Who {
    leading: bool,
}

/// Shows what would be restored, and with `--confirm` restores it.
pub async fn run(talk: &Talk, records: &Records, options: &Options) -> anyhow::Result<Answer> {
    let product = options.needed("product")?;
    paths::check_product_name(product)?;
    let dump = load(options.needed("config-restore")?)?;
    for note in notes(&dump, product) {
        eprintln!("codis-admin: {note}");
    }
    if !options.has("confirm") {
        eprintln!("codis-admin: nothing was changed; add --confirm to write this to {product}");
        return Answer::json(&dump);
    }
    let force = options.has("force");
    if !force {
        nobody_serves(talk, records, product).await?;
    }
    let mark = Restore::begin(records, product, &dump, force).await?;
    mark.write(&dump).await?;
    Ok(Answer::Done)
}

/// A dump that passed all checks.
fn load(file: &str) -> anyhow::Result<Dump> {
    let text = file::read(file)?;
    let raw: Value = serde_json::from_slice(&text).with_context(|| format!("{file} is no JSON"))?;
    ensure!(
        raw.get("servers").is_none(),
        "{file} is a dump of Codis 1 or 2: give what --config-convert={file} prints"
    );
    ensure!(
        raw.get("group").is_some() || raw.get("proxy").is_some(),
        "{file} is no dump: neither `group` nor `proxy` is there"
    );
    let mut problems = check::nameless(&raw);
    let dump = json::decode(&text).with_context(|| format!("{file} is no dump"))?;
    problems.extend(check::problems(&dump));
    if problems.is_empty() {
        return Ok(dump);
    }
    let more = problems.len().saturating_sub(PROBLEMS_SHOWN_MAX);
    problems.truncate(PROBLEMS_SHOWN_MAX);
    let mut told = problems.join("; ");
    if more > 0 {
        let _ = write!(told, "; and {more} more");
    }
    bail!("{file} cannot be restored: {told}; put the file right and try again")
}

/// What goes on, or is odd, once the dump is restored.
fn notes(dump: &Dump, product: &str) -> Vec<String> {
    let mut notes = Vec::new();
    let acting = |slot: &&SlotMapping| slot.action.state != ActionState::Nothing;
    let acting = dump.slots.iter().filter(acting).count();
    if acting > 0 {
        notes.push(format!(
            "the dump has {acting} slots whose migration is queued or under way; the dashboard \
             will go on with them"
        ));
    }
    for group in &dump.group {
        if group.promoting.state != ActionState::Nothing {
            notes.push(format!(
                "group-{:04} is promoting; the dashboard will go on with it",
                group.id
            ));
        }
    }
    let foreign = |name: &&str| !name.is_empty() && *name != product;
    let mut names = dump.proxy.iter().map(|proxy| proxy.product_name.as_str());
    if let Some(other) = names.find(foreign) {
        notes.push(format!(
            "the dump has proxies of product {other}, which will refuse the dashboard of {product}"
        ));
    }
    notes
}

/// Refuses to write below a dashboard that lives: it keeps the records in memory.
async fn nobody_serves(talk: &Talk, records: &Records, product: &str) -> anyhow::Result<()> {
    let Some(topom): Option<Topom> = records.read(&paths::topom(product)).await? else {
        return Ok(());
    };
    let addr = topom.admin_addr;
    let talk = talk.within(DASHBOARD_MAX);
    if records.bytes(&paths::ha_restore(product)).await?.is_some() {
        // Nobody begins to lead on half of a dump: one that waits for the rest is in no way.
        let who: Result<Who, _> = talk.get(&addr, "/topom/leader").await;
        if who.is_ok_and(|who| !who.leading) {
            return Ok(());
        }
    }
    let answer: Result<Topom, _> = talk.get(&addr, "/api/topom/model").await;
    ensure!(
        !answer.is_ok_and(|model| model.product_name == product),
        "the dashboard at {addr} serves {product} and would not notice: stop it first \
         (codis-admin --dashboard={addr} --shutdown), or add --force and --reload it afterwards"
    );
    Ok(())
}

/// A restore that has its mark in the store.
struct Restore<'a> {
    records: &'a Records,
    product: &'a str,
    /// The mark's path and bytes.
    mark: (String, Vec<u8>),
    /// Whether an earlier command has written a part.
    is_resumed: bool,
}

impl<'a> Restore<'a> {
    /// Takes the product: it must be empty, or hold the part that an earlier restore of the same
    /// dump has written; with `force`, of any dump.
    async fn begin(
        records: &'a Records,
        product: &'a str,
        dump: &Dump,
        force: bool,
    ) -> anyhow::Result<Self> {
        let path = paths::ha_restore(product);
        let mark = Mark {
            digest: digest(dump),
            records: dump.slots.len() + dump.group.len() + dump.proxy.len(),
        };
        let value = json::encode(&mark);
        let found = records.bytes(&path).await?;
        match &found {
            None => {
                let groups = records.list(&paths::groups(product)).await?;
                let proxies = records.list(&paths::proxies(product)).await?;
                ensure!(
                    groups.is_empty() && proxies.is_empty(),
                    "product {product} is not empty: it has {} groups and {} proxies; remove them \
                     first, or restore under another name",
                    groups.len(),
                    proxies.len()
                );
                let begun = records.write_if(&path, Expected::Missing, Some(&value));
                begun
                    .await
                    .context("another restore of this product has just begun")?;
            }
            Some(held) if *held == value => {
                eprintln!("codis-admin: going on with the restore that was cut short");
            }
            Some(held) => {
                ensure!(
                    force,
                    "product {product} holds a part of another dump whose restore was cut short: \
                     give that file again to finish it, or add --force to replace it by this one"
                );
                let replaced = records.write_if(&path, Expected::Value(held), Some(&value));
                replaced
                    .await
                    .context("the other restore has just gone on")?;
            }
        }
        Ok(Self {
            records,
            product,
            mark: (path, value),
            is_resumed: found.is_some(),
        })
    }

    /// Writes everything, then takes the mark away.
    async fn write(self, dump: &Dump) -> anyhow::Result<()> {
        let held = self.held().await?;
        let changes = plan::changes(self.product, dump, &held, !self.is_resumed);
        let (mark, value) = &self.mark;
        let bar = Bar::new("records written", changes.len());
        let mut done = 0;
        for piece in records::pieces(&changes) {
            let written = self.records.commit(piece, (mark, value)).await;
            written.with_context(|| {
                format!(
                    "{done} of {} records are written; give the same command again to finish",
                    changes.len()
                )
            })?;
            done += piece.len();
            bar.at(done);
        }
        let ended = self
            .records
            .write_if(mark, Expected::Value(value), None)
            .await;
        ended.context("all records are written, but the mark is still there; give the same command")
    }

    /// The records of the product that are there already, by path.
    async fn held(&self) -> anyhow::Result<Held> {
        let product = self.product;
        let mut paths = BTreeSet::new();
        for dir in [
            paths::slots(product),
            paths::groups(product),
            paths::proxies(product),
        ] {
            paths.extend(self.records.list(&dir).await?);
        }
        let mut ha = dump::ha(self.records, product).await?;
        paths.extend(ha.keys().map(|name| plan::ha_path(product, name)));
        Ok(Held {
            paths,
            leader: ha.remove(plan::LEADER),
        })
    }
}

fn digest(dump: &Dump) -> String {
    let sum = Sha256::digest(json::encode(dump));
    sum.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
