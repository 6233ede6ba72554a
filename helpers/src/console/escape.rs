//! The character with which the operator leaves a console.

use std::str::FromStr;

/// The character that leaves a console.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Escape(u8);

/// Text that is no such character.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the escape is one character, or ^ and a character for it with the control key")]
pub struct BadEscape;

impl FromStr for Escape {
    type Err = BadEscape;

    /// Reads `^a`, `^]` or one plain ASCII character.
    fn from_str(text: &str) -> Result<Escape, BadEscape> {
        match text.as_bytes() {
            [b'^', key] => Ok(Escape(key & 0x1f)),
            [key] => Ok(Escape(*key)),
            _ => Err(BadEscape),
        }
    }
}

impl Escape {
    /// What was typed before the escape, and whether it was typed. What came after it is for nobody.
    pub fn cut(self, typed: &[u8]) -> (&[u8], bool) {
        match typed.iter().position(|byte| *byte == self.0) {
            Some(at) => (&typed[..at], true),
            None => (typed, false),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn with_the_control_key_or_plain() {
        let escape = |text: &str| text.parse::<Escape>().map(|Escape(byte)| byte);
        assert_eq!(escape("^]"), Ok(0x1d));
        assert_eq!([escape("^a"), escape("^A"), escape("^@")], [Ok(1), Ok(1), Ok(0)]);
        assert_eq!([escape("q"), escape("^"), escape("\x1d")], [Ok(b'q'), Ok(b'^'), Ok(0x1d)]);
        for bad in ["", "^ab", "ab", "é", "^é"] {
            assert_eq!(escape(bad), Err(BadEscape), "{bad:?}");
        }
    }

    #[test]
    fn it_may_be_typed_together_with_others() {
        let escape: Escape = "^]".parse().unwrap();
        assert_eq!(escape.cut(b"\x1d"), (&b""[..], true));
        assert_eq!(escape.cut(b"ls\n\x1dlogout\x1d"), (&b"ls\n"[..], true));
        assert_eq!(escape.cut(b"ls\x01"), (&b"ls\x01"[..], false));
    }
}
