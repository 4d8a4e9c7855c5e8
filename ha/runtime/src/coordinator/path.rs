//! What a path of a record may look like, on every store alike.

use super::Error;

/// The longest segment: what a file name may hold on common file systems.
const SEGMENT_BYTES_MAX: usize = 255;

/// Checks that `path` is `/segment/segment...` without anything that a store could read otherwise.
///
/// # Errors
/// The path names the rule that it breaks.
pub fn check(path: &str) -> Result<(), Error> {
    let refuse = |reason| {
        let path = path.to_owned();
        Err(Error::Path { path, reason })
    };
    let Some(rest) = path.strip_prefix('/') else {
        return refuse("it must start with /");
    };
    for segment in rest.split('/') {
        match segment {
            "" => return refuse("empty segments are not allowed"),
            "." | ".." => return refuse("`.` and `..` are not allowed"),
            long if long.len() > SEGMENT_BYTES_MAX => {
                return refuse("a segment is longer than 255 bytes");
            }
            odd if odd.chars().any(char::is_control) => {
                return refuse("control characters are not allowed");
            }
            _ => {}
        }
    }
    Ok(())
}

/// The paths above `path`, from the top, the root not among them.
pub fn ancestors(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('/').skip(1).map(|(at, _)| &path[..at])
}

/// One flat file name for `path`, different for different paths: `/` becomes `+`.
pub fn flat_name(path: &str) -> String {
    let mut name = String::with_capacity(path.len());
    for c in path.trim_start_matches('/').chars() {
        match c {
            '/' => name.push('+'),
            '+' => name.push_str("%2B"),
            '%' => name.push_str("%25"),
            other => name.push(other),
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flat_names_tell_paths_apart() {
        assert_eq!(flat_name("/codis3/demo/topom"), "codis3+demo+topom");
        assert_ne!(flat_name("/a/b"), flat_name("/a+b"));
        assert_ne!(flat_name("/a+b"), flat_name("/a%2Bb"));
    }
}
