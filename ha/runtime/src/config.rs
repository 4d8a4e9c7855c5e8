//! Settings from a flat TOML file and from the command line, with all problems told at once.
//!
//! A daemon's settings are one plain struct with its defaults. [`Document`] reads a file and is
//! then asked, key by key, to write what it holds into the fields of that struct. Each getter
//! knows the type and the rule of its key, notes what is wrong with line and accepted range, and
//! goes on; [`Document::finish`] adds the keys that nobody asked for and gives all of it. After
//! that the settings are valid and nothing checks them again.
//!
//! ```
//! # use codis_runtime::config::Document;
//! let (mut name, mut quorum) = ("codis-demo".to_owned(), 2_i64);
//! let text = "sentinel_quorum = 0\nprodct_name = 'a'";
//! let mut doc = Document::parse("dashboard.toml", text).unwrap();
//! doc.text("product_name", &mut name, |_| Ok(()));
//! doc.integer("sentinel_quorum", &mut quorum, 1..=100);
//! assert_eq!(
//!     doc.finish().unwrap_err().to_string(),
//!     "dashboard.toml: 2 problems\n  \
//!      key \"sentinel_quorum\" at line 1: 0 is out of range, expected 1..=100\n  \
//!      key \"prodct_name\" at line 2: unknown key, did you mean \"product_name\"?"
//! );
//! ```

mod document;
mod problems;

pub use document::{Document, Quantity};
pub use problems::Problems;

/// The exit code of a daemon whose settings are wrong: what the original exits with.
pub const EXIT_INVALID: u8 = 1;
