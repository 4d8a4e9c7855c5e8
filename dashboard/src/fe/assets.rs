//! The files of the web page: embedded, or from a directory of the operator's.

use std::path::{Component, Path, PathBuf};

use anyhow::Context as _;
use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use codis_runtime::http::percent_decoded;

/// The page of `/`.
const INDEX: &str = "index.html";

macro_rules! embedded {
    ($($name:literal),+ $(,)?) => {
        &[$(($name, include_bytes!(concat!("../../ui/", $name)))),+]
    };
}

/// The embedded page, file by file.
const EMBEDDED: &[(&str, &[u8])] = embedded![
    "index.html",
    "style.css",
    "app.js",
    "actions.js",
    "api.js",
    "dialog.js",
    "dom.js",
    "model.js",
    "sha256.js",
    "views.js",
    "views-history.js",
    "views-slots.js",
];

/// The page needs nothing from elsewhere, and nobody else may frame it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                      img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; \
                      form-action 'none'";

/// Where the files are.
#[derive(Clone, Debug)]
pub enum Assets {
    /// In this program.
    Embedded,
    /// Below this directory, links resolved.
    Dir(PathBuf),
}

impl Assets {
    /// The page that this program carries.
    pub const fn embedded() -> Self {
        Self::Embedded
    }

    /// A page of the operator's.
    ///
    /// # Errors
    /// There is no `index.html` in the directory.
    pub fn of_dir(dir: &Path) -> anyhow::Result<Self> {
        let index = dir.join(INDEX);
        anyhow::ensure!(
            index.is_file(),
            "--assets-dir: {} is missing; leave the option out for the embedded page",
            index.display()
        );
        let root = dir.canonicalize();
        Ok(Self::Dir(root.with_context(|| {
            format!("--assets-dir: {}", dir.display())
        })?))
    }

    /// The file that a path names, if there is one.
    pub async fn find(&self, path: &str) -> Option<Response> {
        let name = match path.trim_start_matches('/') {
            "" => INDEX,
            name => name,
        };
        match self {
            Self::Embedded => {
                let (_, bytes) = EMBEDDED.iter().find(|(known, _)| *known == name)?;
                let mut response = file(name, Body::from(*bytes));
                let headers = response.headers_mut();
                headers.insert(
                    header::CONTENT_SECURITY_POLICY,
                    HeaderValue::from_static(POLICY),
                );
                Some(response)
            }
            Self::Dir(root) => {
                let path = inside(root, name).await?;
                let bytes = tokio::fs::read(&path).await.ok()?;
                Some(file(name, Body::from(bytes)))
            }
        }
    }
}

/// The file below `root` that `name` leads to; nothing outside of it, by dots or by links.
async fn inside(root: &Path, name: &str) -> Option<PathBuf> {
    let name = percent_decoded(name)?;
    let relative = Path::new(&name);
    let plain = |part: Component<'_>| matches!(part, Component::Normal(_));
    if !relative.components().all(plain) {
        return None;
    }
    let path = tokio::fs::canonicalize(root.join(relative)).await.ok()?;
    let meta = tokio::fs::metadata(&path).await.ok()?;
    (path.starts_with(root) && meta.is_file()).then_some(path)
}

fn file(name: &str, body: Body) -> Response {
    let headers: [(HeaderName, HeaderValue); 3] = [
        (header::CONTENT_TYPE, HeaderValue::from_static(kind(name))),
        // A new binary brings a new page: none is kept without asking.
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        (
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        ),
    ];
    (headers, body).into_response()
}

fn kind(name: &str) -> &'static str {
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    match extension.to_ascii_lowercase().as_str() {
        "html" | "htm" => "text/html; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "json" | "map" => "application/json; charset=utf-8",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "ico" => "image/x-icon",
        "woff" => "font/woff",
        "woff2" => "font/woff2",
        "ttf" => "font/ttf",
        "txt" | "md" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn nothing_outside_of_the_directory_is_served() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("assets");
        std::fs::create_dir_all(root.join("js")).unwrap();
        std::fs::write(root.join(INDEX), "page").unwrap();
        std::fs::write(root.join("js/a b.js"), "code").unwrap();
        std::fs::write(dir.path().join("secret"), "secret").unwrap();
        std::os::unix::fs::symlink(dir.path().join("secret"), root.join("link")).unwrap();
        let assets = Assets::of_dir(&root).unwrap();
        for good in ["/", "/index.html", "/js/a%20b.js", "/js/./a%20b.js"] {
            assert!(assets.find(good).await.is_some(), "{good}");
        }
        let absolute = format!("/%2F{}", root.join(INDEX).display());
        for bad in [
            "/../secret",
            "/js/../../secret",
            "/%2e%2e/secret",
            "/..%2fsecret",
            "/link",
            "/js",
            "/none",
            "/index.html%00",
            "/%zz",
            "/%e9",
            "/%",
            &absolute,
        ] {
            assert!(assets.find(bad).await.is_none(), "{bad}");
        }
    }

    #[tokio::test]
    async fn the_embedded_page_is_whole() {
        let assets = Assets::embedded();
        let ui = Path::new(env!("CARGO_MANIFEST_DIR")).join("ui");
        for entry in std::fs::read_dir(ui).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            if !name.ends_with(".test.mjs") {
                let found = assets.find(&format!("/{name}")).await;
                assert!(found.is_some(), "{name} is not embedded");
            }
        }
    }
}
