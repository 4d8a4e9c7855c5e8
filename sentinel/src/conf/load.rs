//! Reading configuration: lines of files and arguments into a [`Config`], or every problem in them.

use std::fmt;
use std::io::Read;
use std::path::Path;

use super::directives::{self, Group};
use super::redact::redact;
use super::server::Taken;
use super::{Config, lex, rewrite};
use crate::acl::Declared;

/// `include` inside `include`, at most.
const INCLUDE_DEPTH_MAX: usize = 16;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file, or what stands for it.
    pub origin: String,
    /// The line, from 1.
    pub line: usize,
    /// The text of the line.
    pub text: String,
    /// What is wrong with it.
    pub reason: String,
}

/// All that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "*** FATAL CONFIG FILE ERROR (codis-sentinel) ***")?;
        for problem in &self.0 {
            let Problem {
                origin,
                line,
                text,
                reason,
            } = problem;
            let text = redact(text);
            writeln!(f, "{origin}, at line {line}\n>>> '{text}'\n{reason}")?;
        }
        Ok(())
    }
}

/// Reads lines from several places, in order, and applies them.
#[derive(Debug, Default)]
pub struct Loader {
    config: Config,
    queue: Vec<Queued>,
    problems: Vec<Problem>,
}

/// A `sentinel` line that waits for the end of the file.
#[derive(Debug)]
struct Queued {
    place: Problem,
    words: Vec<String>,
}

impl Loader {
    /// A loader for a state file, whose lines go on top of a configuration.
    pub fn over(config: &Config) -> Self {
        let mut config = Config {
            server: config.server.clone(),
            ..Config::default()
        };
        config.server.acl.declared = Declared::default();
        Self {
            config,
            ..Self::default()
        }
    }

    /// Reads standard input to its end.
    pub fn stdin(&mut self) {
        let mut bytes = Vec::new();
        let result = std::io::stdin().read_to_end(&mut bytes).map(|_| bytes);
        self.content("standard input", result, 0);
    }

    /// Reads a file.
    pub fn file(&mut self, path: &Path) {
        self.file_at_depth(path, 0);
    }

    /// Reads lines that came with the command line.
    pub fn words(&mut self, lines: &str) {
        self.text("command line", lines, 0);
    }

    /// Reads lines from memory.
    pub fn lines(&mut self, origin: &str, lines: &str) {
        self.text(origin, lines, 0);
    }

    /// Applies the queued lines and gives the result.
    pub fn finish(mut self) -> Result<Config, Problems> {
        self.queue.sort_by_key(|queued| group_of(&queued.words));
        for mut queued in std::mem::take(&mut self.queue) {
            if let Err(reason) = directives::apply(&mut self.config, &queued.words) {
                queued.place.reason = reason;
                self.problems.push(queued.place);
            }
        }
        for (name, master) in &self.config.masters {
            let doubt = master
                .settings
                .doubt()
                .map(|text| format!("{name}: {text}"));
            self.config.warnings.extend(doubt);
        }
        if self.problems.is_empty() {
            return Ok(self.config);
        }
        Err(Problems(self.problems))
    }

    fn file_at_depth(&mut self, path: &Path, depth: usize) {
        self.content(&path.display().to_string(), std::fs::read(path), depth);
    }

    fn content(&mut self, origin: &str, content: std::io::Result<Vec<u8>>, depth: usize) {
        match content {
            Ok(bytes) => self.text(origin, &String::from_utf8_lossy(&bytes), depth),
            Err(error) => self.problems.push(Problem {
                origin: origin.to_owned(),
                line: 0,
                text: String::new(),
                reason: format!("cannot read the file: {error}"),
            }),
        }
    }

    fn text(&mut self, origin: &str, text: &str, depth: usize) {
        for (index, line) in text.lines().enumerate() {
            let place = Problem {
                origin: origin.to_owned(),
                line: index + 1,
                text: line.trim().to_owned(),
                reason: String::new(),
            };
            if let Err((mut place, reason)) = self.line(place, depth) {
                place.reason = reason;
                self.problems.push(place);
            }
        }
    }

    fn line(&mut self, place: Problem, depth: usize) -> Result<(), (Problem, String)> {
        if let Some(words) = rewrite::hidden_words(&place.text) {
            self.queue.push(Queued { place, words });
            return Ok(());
        }
        if place.text.is_empty() || place.text.starts_with('#') {
            return Ok(());
        }
        let Some(words) = lex::split_text(&place.text) else {
            return Err((place, "unbalanced quotes".into()));
        };
        let Some((keyword, args)) = words.split_first() else {
            return Ok(());
        };
        if keyword.eq_ignore_ascii_case("sentinel") {
            let words = args.to_vec();
            self.queue.push(Queued { place, words });
            return Ok(());
        }
        if keyword.eq_ignore_ascii_case("include") {
            return self.include(place, args, depth);
        }
        match self.config.server.apply(&words) {
            Ok(Taken::Applied) => Ok(()),
            Ok(Taken::Ignored) => {
                let note = format!("{keyword} has no effect in a sentinel");
                self.config.notes.push(note);
                Ok(())
            }
            Ok(Taken::Unsupported) => {
                let (origin, line) = (&place.origin, place.line);
                let warning = format!("{origin}, line {line}: {keyword} is not supported, ignored");
                self.config.warnings.push(warning);
                Ok(())
            }
            Err(reason) => Err((place, reason)),
        }
    }

    fn include(
        &mut self,
        place: Problem,
        args: &[String],
        depth: usize,
    ) -> Result<(), (Problem, String)> {
        let [path] = args else {
            return Err((place, "wrong number of arguments".into()));
        };
        if depth >= INCLUDE_DEPTH_MAX {
            return Err((place, "files include each other too deeply".into()));
        }
        // `dir` counts from its line on, as in Redis.
        let dir = self.config.server.dir.clone().unwrap_or_default();
        let path = dir.join(path);
        if !path.to_string_lossy().contains(['*', '?', '[']) {
            self.file_at_depth(&path, depth + 1);
            return Ok(());
        }
        // A pattern may match nothing.
        let found = match glob::glob(&path.to_string_lossy()) {
            Ok(found) => found,
            Err(error) => return Err((place, error.to_string())),
        };
        for path in found.flatten() {
            self.file_at_depth(&path, depth + 1);
        }
        Ok(())
    }
}

fn group_of(words: &[String]) -> Group {
    words.first().map_or(Group::Globals, |k| Group::of(k))
}

#[cfg(test)]
mod tests {
    use super::*;
    use codis_core::epoch::Epoch;

    fn load(text: &str) -> Result<Config, Problems> {
        let mut loader = Loader::default();
        loader.lines("test.conf", text);
        loader.finish()
    }

    #[test]
    fn details_may_come_before_the_master() {
        let config = load(
            "# a comment\nport 7001\nsentinel down-after-milliseconds m 5\nsentinel\n\
             SENTINEL monitor m 127.0.0.1 1 1\n# codis-ha epoch-floor m 12\nhz 10\n",
        )
        .unwrap();
        assert_eq!(config.server.port, 7001);
        assert_eq!(config.masters["m"].settings.down_after.as_millis(), 5);
        assert_eq!(config.epoch_floors["m"], Epoch(12));
        assert_eq!(config.notes.len(), 1);
    }

    #[test]
    fn included_files_are_read_in_order_and_a_pattern_may_match_none() {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in [("b.inc", "port 2\n"), ("a.inc", "port 1\ntimeout 5\n")] {
            std::fs::write(dir.path().join(name), text).unwrap();
        }
        let dir = dir.path().display();
        let config = load(&format!(
            "dir {dir}\ninclude *.inc\ninclude {dir}/none*.inc\ninclude a.inc\ninclude b.inc\n"
        ))
        .unwrap();
        assert_eq!((config.server.port, config.server.timeout_secs), (2, 5));
        let missing = load(&format!("include {dir}/none.inc\n")).unwrap_err();
        assert!(missing.to_string().contains("cannot read the file"));
    }

    #[test]
    fn every_problem_is_told_with_its_line() {
        let problems = load("port x\n\nsentinel parallel-syncs m 1\ndir \"open\n").unwrap_err();
        let lines: Vec<usize> = problems.0.iter().map(|p| p.line).collect();
        assert_eq!(lines, [1, 4, 3]);
        let text = problems.to_string();
        assert!(
            text.contains("test.conf, at line 3") && text.contains("'port x'"),
            "{text}"
        );
    }
}
