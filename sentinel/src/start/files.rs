//! What a start reads: the operator's file, and the state.

use std::path::Path;

use super::Error;
use crate::args::Arguments;
use crate::conf::load::{Loader, Problems};
use crate::conf::rewrite::Line;
use crate::conf::{Config, layers};
use crate::state::Store;
use crate::state::lock::Refused;
use crate::state::seal::{self, Stored};

/// All that was read.
pub(super) struct Loaded {
    pub(super) config: Config,
    /// What the state is to keep of the operator's file if it lives elsewhere.
    pub(super) said: Vec<Line>,
    pub(super) store: Store,
}

/// Reads everything, and takes hold of the place where the state is kept.
pub(super) fn load(arguments: &Arguments) -> Result<Loaded, Error> {
    let in_use = |path: &Path| {
        let path = path.to_owned();
        |error: Refused| Error::InUse { path, error }
    };
    match (&arguments.state_dir, &arguments.file) {
        (Some(dir), _) => {
            let operator = operator(arguments)?;
            let store = Store::in_dir(dir).map_err(in_use(dir))?;
            with_state(operator, store)
        }
        (None, Some(path)) => {
            let mut config = operator(arguments)?;
            let store = Store::of_operator(path).map_err(in_use(path))?;
            if let Some(what) = forgotten(&config, path) {
                config.rejoining = true;
                config.warnings.push(format!("{what}: {ABSTAINS}"));
            }
            let said = Vec::new();
            Ok(Loaded {
                config,
                said,
                store,
            })
        }
        (None, None) => Err(Error::Usage(
            "a sentinel needs a config file to keep its state in, or --state-dir; try --help"
                .into(),
        )),
    }
}

/// What a sentinel does that may have forgotten votes.
const ABSTAINS: &str = "no vote is given before enough of the other sentinels were heard";

fn operator(arguments: &Arguments) -> Result<Config, Problems> {
    let mut loader = Loader::default();
    if let Some(file) = &arguments.file {
        loader.file(file);
    }
    if arguments.stdin {
        loader.stdin();
    }
    loader.words(&arguments.lines);
    loader.finish()
}

fn with_state(operator: Config, store: Store) -> Result<Loaded, Error> {
    let mut loader = Loader::over(&operator);
    let origin = store.path.display().to_string();
    let loss = match seal::read(&store.path)? {
        Stored::Whole(text) => {
            loader.lines(&origin, &text);
            None
        }
        Stored::Previous(text, why) => {
            loader.lines(
                &seal::previous_path(&store.path).display().to_string(),
                &text,
            );
            Some(format!(
                "The version before the last is used of {origin}, as {why}"
            ))
        }
        Stored::Nothing => Some(format!("There is no state yet in {origin}")),
    };
    let state = loader.finish()?;
    let said = layers::said(&operator);
    let mut config = layers::resolve(operator, state).map_err(Error::Usage)?;
    if let Some(loss) = loss {
        config.rejoining = true;
        config.warnings.push(format!("{loss}: {ABSTAINS}"));
    }
    Ok(Loaded {
        config,
        said,
        store,
    })
}

/// Why a file that a sentinel has written cannot be whole. It has an id, so it has voted, and what
/// every rewrite puts into it is missing.
fn forgotten(config: &Config, path: &Path) -> Option<String> {
    config.myid.as_ref()?;
    let what = config.missing_epochs().or_else(|| {
        let text = std::fs::read(path).ok()?;
        (!text.ends_with(b"\n")).then(|| "its last line has no end".to_owned())
    })?;
    Some(format!("{} was cut off or edited ({what})", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use codis_core::epoch::Epoch;

    const FILE: &str = "\
port 26379
sentinel myid 0123456789012345678901234567890123456789
sentinel monitor m 127.0.0.1 6379 2
sentinel config-epoch m 12
sentinel leader-epoch m 17
sentinel known-replica m 127.0.0.1 6380
sentinel monitor n 127.0.0.1 6379 2
sentinel config-epoch n 2
sentinel leader-epoch n 15
sentinel current-epoch 17
";

    /// Wherever a rewritten file is cut off, the sentinel refuses to start, knows its votes, or
    /// knows that it may have forgotten some.
    #[test]
    fn a_file_that_was_cut_off_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s.conf");
        let (mut refused, mut rejoining) = (0, 0);
        for end in FILE.find("myid").unwrap()..=FILE.len() {
            std::fs::write(&path, &FILE[..end]).unwrap();
            let arguments = Arguments {
                file: Some(path.clone()),
                ..Arguments::default()
            };
            let Ok(Loaded { config, .. }) = load(&arguments) else {
                refused += 1;
                continue;
            };
            rejoining += usize::from(config.rejoining);
            let epoch = |name: &str| config.masters.get(name).map(|it| it.leader_epoch);
            let knows = (epoch("m"), epoch("n")) == (Some(Epoch(17)), Some(Epoch(15)));
            assert!(knows || config.rejoining || config.myid.is_none(), "{end}");
        }
        assert!(refused > 50 && rejoining > 20, "{refused} {rejoining}");
    }
}
