//! What compilers do not check: sizes, leftovers, links, manifests.

mod files;
mod manifests;
mod rust;
mod texts;

use files::{Tree, fail_if_any};

#[test]
fn files_are_short() {
    const LINES_MAX: usize = 500;
    let tree = Tree::read();
    let long = tree
        .with_extension(&["rs", "js", "sh", ""])
        .filter_map(|file| {
            let lines = file.text.lines().count();
            (lines > LINES_MAX).then(|| format!("{}: {lines} lines, split it", file.path))
        });
    fail_if_any("files of more than 500 lines", long);
}

#[test]
fn no_file_is_empty() {
    let tree = Tree::read();
    let empty = tree.with_extension(texts::OURS).filter_map(|file| {
        let is_empty = file.text.trim().is_empty();
        is_empty.then(|| file.path.clone())
    });
    fail_if_any("files with nothing in them", empty);
}

#[test]
fn rust_lines_fit_the_width() {
    const WIDTH_MAX: usize = 100;
    let tree = Tree::read();
    let wide = tree.lines(&["rs"]).filter_map(|(place, line)| {
        let width = line.chars().count();
        (width > WIDTH_MAX).then(|| format!("{place}: {width} columns"))
    });
    fail_if_any("lines of more than 100 columns", wide);
}

#[test]
fn functions_fit_a_screen() {
    const LINES_MAX: usize = 70;
    let tree = Tree::read();
    let long = tree.with_extension(&["rs"]).flat_map(|file| {
        let functions = rust::functions(&file.text).into_iter();
        functions.filter_map(|function| {
            let (line, lines) = (function.line, function.lines);
            let text = format!("{}:{line}: {} has {lines} lines", file.path, function.name);
            (lines > LINES_MAX).then_some(text)
        })
    });
    fail_if_any("functions of more than 70 lines", long);
}

#[test]
fn unsafe_code_is_only_in_files_that_say_so() {
    let tree = Tree::read();
    let hidden = tree.lines(&["rs"]).filter_map(|(place, line)| {
        let has = ["unsafe {", "unsafe fn", "unsafe impl"]
            .iter()
            .any(|words| {
                line.trim_start().starts_with(words) || line.contains(&format!(" {words}"))
            });
        let said = place.contains("unsafe") || place.contains("tests/it/tidy");
        (has && !said && !line.trim_start().starts_with("//")).then_some(place)
    });
    fail_if_any("unsafe code in files whose name does not say so", hidden);
}

#[test]
fn nothing_is_left_unfinished() {
    let tree = Tree::read();
    let words = texts::leftovers();
    let found = tree.lines(texts::OURS).filter_map(|(place, line)| {
        let word = words.iter().find(|word| line.contains(word.as_str()))?;
        Some(format!("{place}: {word}"))
    });
    fail_if_any("unfinished places", found);
}

#[test]
fn no_line_ends_in_blanks() {
    let tree = Tree::read();
    let loose = tree.lines(texts::OURS).filter_map(|(place, line)| {
        let ends = line.ends_with([' ', '\t']) || line.ends_with('\r');
        ends.then_some(place)
    });
    let open = tree.with_extension(texts::OURS).filter_map(|file| {
        let ends =
            file.text.is_empty() || (file.text.ends_with('\n') && !file.text.ends_with("\n\n"));
        (!ends).then(|| format!("{}: must end in one line break", file.path))
    });
    fail_if_any("loose line ends", loose.chain(open));
}

#[test]
fn no_path_belongs_to_one_machine() {
    let tree = Tree::read();
    let roots = texts::machine_roots();
    let found = tree.lines(texts::OURS).filter_map(|(place, line)| {
        let root = roots
            .iter()
            .find(|root| texts::has_path_below(line, root))?;
        Some(format!("{place}: {root}"))
    });
    fail_if_any("paths of one machine", found);
}

#[test]
fn links_lead_somewhere() {
    let tree = Tree::read();
    let dead = tree.with_extension(&["md"]).flat_map(|file| {
        let links = texts::links(&file.text).into_iter();
        links.filter_map(|link| {
            let gone = !tree
                .root
                .join(&file.path)
                .with_file_name("")
                .join(&link)
                .exists();
            gone.then(|| format!("{}: {link}", file.path))
        })
    });
    fail_if_any("dead links", dead);
}

#[test]
fn scripts_can_be_run() {
    use std::os::unix::fs::PermissionsExt as _;
    let tree = Tree::read();
    let broken = tree.with_extension(&["sh", ""]).filter_map(|file| {
        let mode = std::fs::metadata(tree.root.join(&file.path))
            .unwrap()
            .permissions()
            .mode();
        let is_script = file.text.starts_with("#!");
        (is_script != (mode & 0o111 == 0o111)).then(|| file.path.clone())
    });
    fail_if_any("scripts that are not executable, or the reverse", broken);
}

#[test]
fn toml_files_parse() {
    let tree = Tree::read();
    let broken = tree.with_extension(&["toml"]).filter_map(|file| {
        let error = manifests::parse(&file.text).err()?;
        Some(format!("{}: {error}", file.path))
    });
    fail_if_any("broken TOML", broken);
}

#[test]
fn manifests_take_everything_from_the_workspace() {
    let tree = Tree::read();
    fail_if_any(
        "manifests with settings of their own",
        manifests::deviations(&tree).into_iter(),
    );
}
