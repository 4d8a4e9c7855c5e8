//! Whose sentinel: ours, Debian's, and those of other versions that `scripts/peers` fetches.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::preflight::Programs;

/// A kind of sentinel.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Breed {
    /// `codis-sentinel`.
    Ours,
    /// Redis 3.2, the age of Codis.
    Redis32,
    /// Redis 6.2.
    Redis62,
    /// Redis 7.0, as Debian has it.
    Redis70,
    /// Valkey 9.
    Valkey9,
}

impl Breed {
    /// Those that are not ours.
    pub const OTHERS: [Self; 4] = [Self::Redis32, Self::Redis62, Self::Redis70, Self::Valkey9];

    /// Its name, and that of its folder below `target/peers`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::Redis32 => "redis-3.2",
            Self::Redis62 => "redis-6.2",
            Self::Redis70 => "redis-7.0",
            Self::Valkey9 => "valkey-9",
        }
    }
}

impl fmt::Display for Breed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Where the programs of all breeds are.
#[derive(Clone, Debug)]
pub struct Breeds {
    programs: Programs,
    peers: PathBuf,
}

impl Breeds {
    /// Our programs in `programs`; others in the folder `peers` beside it, as cargo and
    /// `scripts/peers` lay them out.
    pub fn beside(programs: Programs) -> Self {
        let target = programs.dir.parent().unwrap_or(Path::new("."));
        let peers = target.join("peers");
        Self { programs, peers }
    }

    /// The file of a data server.
    pub fn redis_server(&self) -> &Path {
        &self.programs.redis_server
    }

    /// The program of a breed and the words that make it a sentinel.
    ///
    /// # Errors
    /// The program is not there; the text says how to get it.
    pub fn sentinel(&self, breed: Breed) -> anyhow::Result<(PathBuf, &'static [&'static str])> {
        let (file, words, get): (_, &[&str], _) = match breed {
            Breed::Ours => {
                let file = self.programs.file("codis-sentinel");
                (file, &[], "cargo build -p codis-sentinel")
            }
            Breed::Redis70 => {
                let file = self.programs.redis_server.clone();
                (file, &["--sentinel"], "scripts/setup")
            }
            Breed::Redis32 | Breed::Redis62 | Breed::Valkey9 => {
                let file = self.peers.join(breed.name()).join("server");
                (file, &["--sentinel"], "scripts/peers")
            }
        };
        // Not the target of a link: some programs look at the name by which they are started.
        let file = std::path::absolute(file)?;
        anyhow::ensure!(
            file.is_file(),
            "no {breed} at {}; run `{get}`",
            file.display()
        );
        Ok((file, words))
    }
}
