//! Numbers in text as the C library reads them, which is how stock xl reads every number of a configuration.

/// The number at the start of a text, and what follows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Leading<'a> {
    /// The number, clipped to 64 bits.
    pub(crate) value: i128,
    /// What follows.
    pub(crate) rest: &'a str,
}

/// The number at the start of `text` after white space and a sign, as `strtol(3)` finds it, but not limited in size
/// until the caller does so. In base 0 a prefix `0x` means base 16 and `0` base 8.
///
/// None if there is no digit.
pub(crate) fn leading(text: &str, base: u32) -> Option<Leading<'_>> {
    let unsigned = text.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == '\x0b');
    let (negative, digits) = match unsigned.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, unsigned.strip_prefix('+').unwrap_or(unsigned)),
    };
    let (base, digits) = split_prefix(digits, base);
    let end = digits.find(|c: char| !c.is_digit(base)).unwrap_or(digits.len());
    if end == 0 {
        return None;
    }
    let magnitude = digits[..end]
        .chars()
        .filter_map(|c| c.to_digit(base))
        .fold(0i128, |value, digit| (value * i128::from(base) + i128::from(digit)).min(i128::from(u64::MAX) + 1));
    Some(Leading { value: if negative { -magnitude } else { magnitude }, rest: &digits[end..] })
}

/// The base that `strtol` takes for these digits, and the digits without their prefix.
fn split_prefix(digits: &str, base: u32) -> (u32, &str) {
    if base == 0 || base == 16 {
        let after = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X"));
        // "0x" with no digit after it is the number 0, followed by an x.
        if let Some(after) = after.filter(|a| a.starts_with(|c: char| c.is_ascii_hexdigit())) {
            return (16, after);
        }
    }
    match base {
        0 if digits.starts_with('0') => (8, digits),
        0 => (10, digits),
        base => (base, digits),
    }
}

/// The number that is the whole of `text`, in the range of a C `long`.
pub(crate) fn whole(text: &str, base: u32) -> Option<i64> {
    leading(text, base).filter(|n| n.rest.is_empty()).and_then(|n| i64::try_from(n.value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bases_and_prefixes() {
        for (text, value) in [("10", 10), ("0x10", 16), ("010", 8), (" -5", -5), ("+7", 7), ("0", 0)] {
            assert_eq!(whole(text, 0), Some(value), "{text}");
        }
        for text in ["", "x", "1x", "08", "0x", "-", "1 ", "9223372036854775808", "99999999999999999999999999"] {
            assert_eq!(whole(text, 0), None, "{text}");
        }
        assert_eq!(leading("3f8-3ff", 16), Some(Leading { value: 0x3f8, rest: "-3ff" }));
        assert_eq!(leading("0xg", 16), Some(Leading { value: 0, rest: "xg" }));
    }
}
