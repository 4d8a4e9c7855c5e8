//! Glob patterns as Redis matches them: `*`, `?`, `[a-c]`, `[^x]` and `\` to take the next
//! character as it is.

/// Whether the whole of `text` matches.
pub fn matches(pattern: &[u8], text: &[u8]) -> bool {
    // Only the last star needs to be tried again with one more byte: a match before an earlier one
    // can always be moved there. So the time is bounded by the product of the lengths.
    let (mut at, mut from) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    loop {
        if pattern.get(at) == Some(&b'*') {
            star = Some((at + 1, from));
            at += 1;
            continue;
        }
        match (text.get(from), pattern.get(at)) {
            (None, None) => return true,
            (Some(&byte), Some(_)) => {
                let (hit, next) = one(&pattern[at..], byte);
                if hit {
                    at += next;
                    from += 1;
                    continue;
                }
            }
            (None, Some(_)) => return false,
            (Some(_), None) => {}
        }
        let Some((after, begin)) = star else {
            return false;
        };
        star = Some((after, begin + 1));
        at = after;
        from = begin + 1;
        if from > text.len() {
            return false;
        }
    }
}

/// Whether the first element of a pattern matches a byte, and the element's length.
fn one(pattern: &[u8], byte: u8) -> (bool, usize) {
    match pattern {
        [b'?', ..] => (true, 1),
        [b'[', rest @ ..] => class(rest, byte),
        [b'\\', escaped, ..] => (*escaped == byte, 2),
        [plain, ..] => (*plain == byte, 1),
        [] => (false, 0),
    }
}

/// The same for a class, after its bracket. One that is not closed reaches to the end.
fn class(rest: &[u8], byte: u8) -> (bool, usize) {
    let negated = rest.first() == Some(&b'^');
    let mut at = usize::from(negated);
    let mut hit = false;
    loop {
        match rest.get(at..).unwrap_or_default() {
            [] => break,
            [b']', ..] => {
                at += 1;
                break;
            }
            [b'\\', escaped, ..] => {
                hit |= *escaped == byte;
                at += 2;
            }
            [low, b'-', high, ..] => {
                let (low, high) = (*low.min(high), *low.max(high));
                hit |= (low..=high).contains(&byte);
                at += 3;
            }
            [plain, ..] => {
                hit |= *plain == byte;
                at += 1;
            }
        }
    }
    (hit != negated, at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_in_redis() {
        let cases = [
            ("*", "", true),
            ("*", "anything", true),
            ("demo-*", "demo-1", true),
            ("demo-?", "demo-12", false),
            ("a*b*c", "axxbyyc", true),
            ("a*b*c", "axxbyy", false),
            ("[a-c]x", "bx", true),
            ("[^a-c]x", "bx", false),
            ("[^a-c]x", "dx", true),
            ("\\*", "*", true),
            ("\\*", "x", false),
            ("", "", true),
            ("", "x", false),
            ("Abc", "abc", false),
            ("[ab", "b", true),
            ("+*", "+switch-master", true),
        ];
        for (pattern, text, expected) in cases {
            assert_eq!(
                matches(pattern.as_bytes(), text.as_bytes()),
                expected,
                "{pattern} {text}"
            );
        }
    }

    #[test]
    fn a_hostile_pattern_does_not_take_for_ever() {
        let pattern = "a*".repeat(200) + "b";
        assert!(!matches(pattern.as_bytes(), "a".repeat(2000).as_bytes()));
    }
}
