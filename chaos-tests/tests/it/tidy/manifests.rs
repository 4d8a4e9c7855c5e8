//! Manifests: versions, lints and package data stand in the root manifest alone.

use toml_edit::{DocumentMut, Item, TomlError};

use super::files::Tree;

/// Reads a TOML text.
pub fn parse(text: &str) -> Result<DocumentMut, TomlError> {
    text.parse()
}

/// What members state by themselves and should not, one line each.
pub fn deviations(tree: &Tree) -> Vec<String> {
    let read = |path: &str| {
        let file = tree.files.iter().find(|file| file.path == path);
        let file = file.unwrap_or_else(|| panic!("{path} is missing"));
        parse(&file.text).unwrap()
    };
    let root = read("Cargo.toml");
    let members = root["workspace"]["members"].as_array().unwrap();
    let mut found = Vec::new();
    for member in members.iter().map(|member| member.as_str().unwrap()) {
        let manifest = read(&format!("{member}/Cargo.toml"));
        let mut say = |what: &str| found.push(format!("{member}/Cargo.toml: {what}"));
        if !from_workspace(&manifest["lints"]) {
            say("[lints] must say workspace = true");
        }
        for key in ["version", "edition", "rust-version", "license", "publish"] {
            if !from_workspace(&manifest["package"][key]) {
                say(&format!("{key} must say workspace = true"));
            }
        }
        for table in ["dependencies", "dev-dependencies", "build-dependencies"] {
            let Some(table) = manifest.get(table).and_then(Item::as_table) else {
                continue;
            };
            for (name, _) in table.iter().filter(|(_, item)| !from_workspace(item)) {
                say(&format!("{name} must say workspace = true"));
            }
        }
    }
    found
}

fn from_workspace(item: &Item) -> bool {
    item.get("workspace").and_then(Item::as_bool) == Some(true)
}
