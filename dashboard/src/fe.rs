//! codis-fe: one web page for all products.
//!
//! The problem: browsers want one address, while each product has a dashboard of its own that moves
//! between hosts. The idea: a table of products and their dashboards ([`directory`]), read from the
//! coordinator or from a file; whatever a browser asks for with `?forward=NAME` goes to the
//! dashboard of that product as it is. The page itself ([`assets`]) is embedded.
//!
//! Invariants: the last good table is kept when it cannot be read again; a dashboard that hangs
//! delays its own callers and nobody else; nothing is answered from files outside of the assets.
//!
//! Like the original it knows no users: who reaches its port can change every product. Put it
//! behind a proxy that asks who is there.

pub mod assets;
pub mod cli;
pub mod directory;
pub mod run;
pub mod serve;
