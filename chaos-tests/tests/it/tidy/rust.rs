//! Functions in Rust sources, found by the layout that rustfmt gives them: the closing brace stands
//! alone under the first letter of the line that opens the function.

/// A function with a body of its own lines.
#[derive(Debug, PartialEq, Eq)]
pub struct Function {
    pub name: String,
    /// Of its first line, from 1.
    pub line: usize,
    /// From the first line to the closing brace.
    pub lines: usize,
}

/// All functions of a source, nested ones too.
pub fn functions(text: &str) -> Vec<Function> {
    let lines: Vec<_> = text.lines().collect();
    let mut found = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        let Some(name) = opens(line) else { continue };
        let end = format!("{}}}", indent(line));
        let rest = &lines[index..];
        let signature_only = rest.iter().position(|line| line.ends_with(';'));
        let body = rest.iter().position(|line| line.ends_with('{'));
        match (signature_only, body) {
            (Some(semicolon), Some(brace)) if semicolon < brace => continue,
            (_, None) => continue,
            _ => {}
        }
        if let Some(length) = rest.iter().position(|line| *line == end) {
            found.push(Function {
                name: name.to_owned(),
                line: index + 1,
                lines: length + 1,
            });
        }
    }
    found
}

fn indent(line: &str) -> &str {
    &line[..line.len() - line.trim_start().len()]
}

/// The name of the function that `line` begins, when it does not end on it.
fn opens(line: &str) -> Option<&str> {
    let mut rest = line.trim_start();
    if line.ends_with('}') || line.ends_with(';') || rest.starts_with("//") {
        return None;
    }
    loop {
        if let Some(after) = rest.strip_prefix("fn ") {
            let end = after.find(|c: char| !c.is_alphanumeric() && c != '_')?;
            return Some(&after[..end]);
        }
        let words = ["pub ", "const ", "async ", "unsafe ", "extern \"C\" "];
        let visible = rest
            .strip_prefix("pub(")
            .and_then(|after| after.split_once(") "));
        rest = match words.iter().find_map(|word| rest.strip_prefix(word)) {
            Some(after) => after,
            None => visible?.1,
        };
    }
}

#[test]
fn functions_are_measured_from_signature_to_brace() {
    let text = [
        "impl A {",
        "    pub(crate) async fn a(",
        "        x: u8,",
        "    ) {",
        "        if x {",
        "        }",
        "    }",
        "",
        "    fn b();",
        "    fn c() {}",
        "}",
    ];
    let found = functions(&text.join("\n"));
    let a = Function {
        name: "a".to_owned(),
        line: 2,
        lines: 6,
    };
    assert_eq!(found, [a]);
}
