//! Every action of the tool with the options that it needs and may have.
//!
//! The original describes its command line as a list of usage patterns. The same patterns are rows
//! of [`ACTIONS`], so an option that an action would ignore is an error and not a surprise.

mod table;
#[cfg(test)]
mod tests;

pub use table::ACTIONS;

/// What an action talks to; also the option that names it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Target {
    /// `--proxy=ADDR`.
    Proxy,
    /// `--dashboard=ADDR`, or `CODIS_DASHBOARD` in the environment.
    Dashboard,
    /// `--filesystem=ROOT`, `--zookeeper=ADDR` or `--etcd=ADDR`.
    Store,
    /// Nobody: the action works on a file.
    File,
}

/// One usage pattern.
#[derive(Debug)]
pub struct Action {
    /// What it talks to.
    pub target: Target,
    /// The option that chooses it; empty for the overview.
    pub verb: &'static str,
    /// The option that tells it from other patterns with the same verb; empty for the plain one.
    pub form: &'static str,
    /// Options that must all be there.
    pub needs: &'static [&'static str],
    /// Options of which exactly one must be there.
    pub one_of: &'static [&'static str],
    /// Options that may be there.
    pub may: &'static [&'static str],
}

/// Options that go with any action of a target.
pub const fn common(target: Target) -> &'static [&'static str] {
    match target {
        Target::Proxy => &["proxy", "auth", "verbose", "output"],
        Target::Dashboard => &["dashboard", "verbose", "output"],
        Target::Store => &[
            "filesystem",
            "zookeeper",
            "zookeeper-auth",
            "etcd",
            "etcd-auth",
            "verbose",
            "output",
        ],
        Target::File => &["verbose", "output"],
    }
}

/// The kinds of coordinator, as options that name one.
pub const STORES: [&str; 3] = ["filesystem", "zookeeper", "etcd"];

const NAME_A_TARGET: &str = "name what to talk to: --dashboard=ADDR (or CODIS_DASHBOARD in the \
                             environment), --proxy=ADDR, --filesystem=ROOT, --zookeeper=ADDR or \
                             --etcd=ADDR";

/// Finds the action that the given options describe; `has_dashboard` when the environment names a
/// dashboard for those that name nothing.
///
/// # Errors
/// A text that says which option is missing, or does not belong.
pub fn resolve(given: &[&str], has_dashboard: bool) -> Result<&'static Action, String> {
    let target = target(given, has_dashboard)?;
    let has = |option: &str| given.contains(&option);
    let mut verbs: Vec<&str> = of(target)
        .map(|action| action.verb)
        .filter(|verb| !verb.is_empty() && has(verb))
        .collect();
    verbs.dedup();
    let verb = match verbs.as_slice() {
        [] => "",
        [verb] => verb,
        [one, two, ..] => return Err(format!("--{one} and --{two} exclude each other")),
    };
    let action = pattern(target, verb, given)?;
    check(action, given)?;
    Ok(action)
}

fn of(target: Target) -> impl Iterator<Item = &'static Action> {
    ACTIONS.iter().filter(move |action| action.target == target)
}

/// What the options say the action talks to.
fn target(given: &[&str], has_dashboard: bool) -> Result<Target, String> {
    let has = |option: &str| given.contains(&option);
    let stores = STORES.iter().filter(|store| has(store)).count();
    for (auth, store) in [("zookeeper-auth", "zookeeper"), ("etcd-auth", "etcd")] {
        if has(auth) && !has(store) {
            return Err(format!("option --{auth} needs --{store}"));
        }
    }
    match (has("proxy"), has("dashboard"), stores) {
        (true, false, 0) => Ok(Target::Proxy),
        (false, true, 0) => Ok(Target::Dashboard),
        (false, false, 1) => Ok(Target::Store),
        (false, false, 2..) => {
            Err("--filesystem, --zookeeper and --etcd exclude each other".to_owned())
        }
        (false, false, 0) if of(Target::File).any(|action| has(action.verb)) => Ok(Target::File),
        (false, false, 0) if has_dashboard => Ok(Target::Dashboard),
        (false, false, 0) => Err(NAME_A_TARGET.to_owned()),
        _ => Err("--dashboard, --proxy and a coordinator exclude each other".to_owned()),
    }
}

/// The pattern of a verb that the other options ask for.
fn pattern(target: Target, verb: &str, given: &[&str]) -> Result<&'static Action, String> {
    let patterns = || of(target).filter(|action| action.verb == verb);
    let mut formed = patterns().filter(|action| given.contains(&action.form));
    match (formed.next(), formed.next()) {
        (Some(action), None) => return Ok(action),
        (Some(one), Some(two)) => {
            let (one, two) = (one.form, two.form);
            return Err(format!("--{one} and --{two} exclude each other"));
        }
        (None, _) => {}
    }
    if let Some(plain) = patterns().find(|action| action.form.is_empty()) {
        return Ok(plain);
    }
    if verb.is_empty() {
        let mut verbs: Vec<_> = of(target).map(|action| action.verb).collect();
        verbs.dedup();
        return Err(format!("name what to do with the store: {}", list(&verbs)));
    }
    let forms: Vec<_> = patterns().map(|action| action.form).collect();
    Err(format!("--{verb} needs one of {}", list(&forms)))
}

fn check(action: &Action, given: &[&str]) -> Result<(), String> {
    let shown = if action.verb.is_empty() {
        "the overview".to_owned()
    } else {
        format!("--{}", action.verb)
    };
    if let Some(missing) = action.needs.iter().find(|option| !given.contains(option)) {
        let others: Vec<_> = of(action.target)
            .filter(|other| other.verb == action.verb && action.form.is_empty())
            .map(|other| other.form)
            .filter(|form| !form.is_empty())
            .collect();
        let or = if others.is_empty() {
            String::new()
        } else {
            format!(", or give {}", list(&others))
        };
        return Err(format!("option --{missing} is required by {shown}{or}"));
    }
    let choices = action.one_of.iter().filter(|option| given.contains(option));
    let choices = choices.count();
    if choices != 1 && !action.one_of.is_empty() {
        let list = list(action.one_of);
        return Err(format!(
            "{shown} takes exactly one of {list}; {choices} given"
        ));
    }
    let belongs = |option: &&str| {
        [action.verb, action.form].contains(option)
            || [
                action.needs,
                action.one_of,
                action.may,
                common(action.target),
            ]
            .iter()
            .any(|list| list.contains(option))
    };
    match given.iter().find(|option| !belongs(option)) {
        Some(&"part") => Err(format!("{shown} takes no further word")),
        Some(stray) => Err(stray_option(stray, action, &shown)),
        None => Ok(()),
    }
}

/// Why an option does not belong. One that chooses an action of another target says which.
fn stray_option(stray: &str, action: &Action, shown: &str) -> String {
    let elsewhere = ACTIONS
        .iter()
        .find(|other| other.verb == stray && other.target != action.target);
    let dashed = dashed(stray);
    match elsewhere.map(|other| other.target) {
        Some(Target::Store) => format!(
            "{dashed} works on a coordinator: name it with --filesystem=ROOT, --zookeeper=ADDR or \
             --etcd=ADDR, and no dashboard or proxy"
        ),
        Some(Target::Dashboard) => {
            format!("{dashed} works on a dashboard: name it with --dashboard=ADDR")
        }
        Some(Target::Proxy) => format!("{dashed} works on a proxy: name it with --proxy=ADDR"),
        Some(Target::File) => format!("{dashed} works on a file alone: name nothing to talk to"),
        None => format!("option {dashed} does not go with {shown}"),
    }
}

/// An option as it is typed.
fn dashed(option: &str) -> String {
    match option {
        "verbose" => "-v".to_owned(),
        "legacy" => "-1".to_owned(),
        long => format!("--{long}"),
    }
}

fn list(options: &[&str]) -> String {
    let options: Vec<_> = options.iter().map(|option| dashed(option)).collect();
    options.join(", ")
}
