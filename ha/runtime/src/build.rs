//! Which build this is, in the two lines that `--version` prints.

/// The version of the workspace, with the commit when the build was told it
/// (`CODIS_BUILD_COMMIT`).
pub fn version() -> String {
    match option_env!("CODIS_BUILD_COMMIT") {
        Some(commit) if !commit.is_empty() => format!("{} ({commit})", env!("CARGO_PKG_VERSION")),
        _ => env!("CARGO_PKG_VERSION").to_owned(),
    }
}

/// The commit, or an empty text.
pub fn commit() -> &'static str {
    option_env!("CODIS_BUILD_COMMIT").unwrap_or_default()
}

/// The compiler and the target.
pub fn compile() -> String {
    let profile = if cfg!(debug_assertions) {
        "debug"
    } else {
        "release"
    };
    format!(
        "{} {} {profile}",
        env!("CODIS_BUILD_RUSTC"),
        env!("CODIS_BUILD_TARGET")
    )
}

/// What `--version` prints, without a newline at the end.
pub fn text() -> String {
    format!("version: {}\ncompile: {}", version(), compile())
}
