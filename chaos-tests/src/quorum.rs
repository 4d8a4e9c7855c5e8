//! One master, its replicas and a quorum of sentinels, without proxies and dashboard: for what only
//! the sentinels decide. Any of them may be of another breed than ours.

pub mod breed;
pub mod fleet;
pub mod lab;
pub mod mixed;
pub mod rolling;
pub mod scale;
pub mod storm;
pub mod times;
pub mod watch;

pub use breed::{Breed, Breeds};
pub use lab::Lab;
