//! Percent signs in paths.

/// The text that `%XX` stand for. Nothing when one is cut short, or when they make no UTF-8 or hold
/// a zero byte.
pub fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let (digits, tail) = rest.split_at_checked(2)?;
        // A sign would be taken for part of a number.
        let digits = std::str::from_utf8(digits)
            .ok()
            .filter(|text| !text.contains('+'))?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        rest = tail;
    }
    String::from_utf8(bytes)
        .ok()
        .filter(|text| !text.contains('\0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_whole_is_decoded() {
        let decoded = |text| percent_decoded(text);
        assert_eq!(decoded("h%3a1%20%C3%A4").as_deref(), Some("h:1 \u{e4}"));
        for bad in ["%", "%4", "%zz", "%+4", "%e9", "a%00"] {
            assert_eq!(decoded(bad), None, "{bad}");
        }
    }
}
