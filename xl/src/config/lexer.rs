//! The tokens of xl's configuration language (xl.cfg(5), "SYNTAX").
//!
//! Beyond stock xl: a byte order mark, carriage returns before a line's end, `\xHH` and `\ooo` in strings, negative
//! numbers without quotes, and a comment on a last line that has no end.

use super::diagnostic::printable;
use super::source::Span;

/// A token. Names, numbers and strings carry their text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    /// `[a-z][a-z0-9._]*`: the name of a key.
    Name(String),
    /// A number, not yet converted: `[0-9][0-9a-fx]*`.
    Number(String),
    /// A quoted string, decoded.
    String(String),
    /// `,`
    Comma,
    /// `[`
    Open,
    /// `]`
    Close,
    /// `=`
    Assign,
    /// `+=`
    Append,
    /// `;`
    Semicolon,
    /// The end of a line, with its comment.
    Newline,
    /// The end of the text.
    End,
}

/// Something that is not a token.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct LexError {
    /// Where.
    pub(crate) span: Span,
    /// What is wrong.
    pub(crate) message: String,
    /// What to do.
    pub(crate) help: Option<&'static str>,
}

/// Whether a text is a name, `[a-z][a-z0-9._]*`.
pub(crate) fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_lowercase()) && text.bytes().all(is_of_name)
}

/// Whether names have this byte after their first letter.
fn is_of_name(byte: u8) -> bool {
    matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_')
}

/// Reads tokens off a text.
pub(crate) struct Lexer<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Lexer<'a> {
    /// Starts at this offset of the text.
    ///
    /// A byte order mark, which some editors put before a text, is no part of it.
    pub(crate) fn new(bytes: &'a [u8], at: usize) -> Lexer<'a> {
        let mark = "\u{feff}".as_bytes();
        Lexer { bytes, at: if at == 0 && bytes.starts_with(mark) { mark.len() } else { at } }
    }

    /// The next token and where it stands.
    pub(crate) fn next(&mut self) -> Result<(Token, Span), LexError> {
        self.skip_while(|b| b == b' ' || b == b'\t');
        let start = self.at;
        let Some(first) = self.peek() else { return Ok((Token::End, Span::new(start, start))) };
        let token = match first {
            b',' => self.punctuation(1, Token::Comma),
            b'[' => self.punctuation(1, Token::Open),
            b']' => self.punctuation(1, Token::Close),
            b'=' => self.punctuation(1, Token::Assign),
            b';' => self.punctuation(1, Token::Semicolon),
            b'+' if self.peek_at(1) == Some(b'=') => self.punctuation(2, Token::Append),
            b'\n' => self.punctuation(1, Token::Newline),
            b'\r' if matches!(self.peek_at(1), Some(b'\n') | None) => {
                self.at += 1;
                return self.next();
            }
            b'#' => {
                self.skip_while(|b| b != b'\n');
                return self.next();
            }
            b'a'..=b'z' => {
                self.skip_while(is_of_name);
                Token::Name(self.text_from(start))
            }
            b'0'..=b'9' => self.number(start),
            b'-' if self.peek_at(1).is_some_and(|b| b.is_ascii_digit()) => self.number(start),
            b'"' | b'\'' => self.string(first)?,
            _ => return Err(self.stray(start)),
        };
        Ok((token, Span::new(start, self.at)))
    }

    /// After an error at an offset: moves to the next line that looks like the start of a setting.
    pub(crate) fn skip_to_setting(&mut self, error_at: usize) {
        self.at = error_at;
        while self.at < self.bytes.len() {
            self.skip_while(|b| b != b'\n');
            self.at = (self.at + 1).min(self.bytes.len());
            let line_start = self.at;
            if self.at_setting() {
                self.at = line_start;
                return;
            }
        }
    }

    fn at_setting(&mut self) -> bool {
        self.skip_while(|b| b == b' ' || b == b'\t');
        let name_start = self.at;
        self.skip_while(is_of_name);
        let has_name = self.at > name_start;
        self.skip_while(|b| b == b' ' || b == b'\t');
        has_name && (self.peek() == Some(b'=') || (self.peek() == Some(b'+') && self.peek_at(1) == Some(b'=')))
    }

    /// Whether `=` or `+=` comes next.
    pub(crate) fn is_at_operator(&self) -> bool {
        let rest = self.bytes[self.at..].trim_ascii_start();
        rest.starts_with(b"=") || rest.starts_with(b"+=")
    }

    /// The line of an offset, counted from 1.
    pub(crate) fn line_of(&self, offset: usize) -> usize {
        1 + self.bytes[..offset].iter().filter(|b| **b == b'\n').count()
    }

    /// What stands from an offset on, up to something that would end a value; only its first word if that is long.
    pub(crate) fn phrase_at(&self, offset: usize) -> String {
        let rest = &self.bytes[offset..];
        let end = rest.iter().position(|b| matches!(b, b'\n' | b'#' | b';' | b',' | b']' | b'"')).unwrap_or(rest.len());
        match String::from_utf8_lossy(&rest[..end]).trim() {
            phrase if phrase.len() <= 60 => phrase.to_string(),
            phrase => phrase.split_whitespace().next().unwrap_or_default().chars().take(40).collect(),
        }
    }

    /// What stands before the `=` of a line, if something before it is wrong: the name that somebody thought of.
    pub(crate) fn key_around(&self, wrong: Span) -> Option<String> {
        let start = self.bytes[..wrong.start].iter().rposition(|b| *b == b'\n').map_or(0, |newline| newline + 1);
        let length = self.bytes[start..].iter().position(|b| matches!(b, b'=' | b'\n'))?;
        let is_name = start + length >= wrong.end && self.bytes[start + length] == b'=';
        is_name.then(|| String::from_utf8_lossy(&self.bytes[start..start + length]).trim().to_string())
    }

    fn peek(&self) -> Option<u8> {
        self.peek_at(0)
    }

    fn peek_at(&self, ahead: usize) -> Option<u8> {
        self.bytes.get(self.at + ahead).copied()
    }

    fn skip_while(&mut self, keep: impl Fn(u8) -> bool) {
        let rest = &self.bytes[self.at..];
        self.at += rest.iter().position(|&b| !keep(b)).unwrap_or(rest.len());
    }

    fn text_from(&self, start: usize) -> String {
        String::from_utf8_lossy(&self.bytes[start..self.at]).into_owned()
    }

    fn punctuation(&mut self, length: usize, token: Token) -> Token {
        self.at += length;
        token
    }

    fn number(&mut self, start: usize) -> Token {
        self.at += 1;
        self.skip_while(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f' | b'x'));
        Token::Number(self.text_from(start))
    }

    /// A character that starts no token. The whole word is shown, up to a blank.
    fn stray(&mut self, start: usize) -> LexError {
        let first = self.bytes[start];
        self.at += 1;
        self.skip_while(|b| !b.is_ascii_whitespace() && b != b'=');
        let span = Span::new(start, self.at);
        let word = shown(&self.text_from(start));
        let follows_number = start > 0 && self.bytes[start - 1].is_ascii_digit();
        let help = match first {
            b'A'..=b'Z' if word == "True" || word == "False" => Some("yes is 1, no is 0"),
            b'A'..=b'Z' if follows_number => Some("a number has no unit; sizes of memory are in MiB"),
            b'.' if follows_number => Some("numbers are whole: 1536 for 1.5 GiB of memory"),
            b'/' => Some("text goes in quotes"),
            b'(' => Some("a list is in brackets: key = [ \"...\", \"...\" ]"),
            b'<' => Some("this is XML: `virsh domxml-to-native xen-xl FILE' makes a configuration of libvirt's"),
            _ if word.starts_with(['\u{201c}', '\u{201d}', '\u{2018}', '\u{2019}', '\u{ab}']) => {
                Some("text goes in straight quotes: \"...\"")
            }
            b'A'..=b'Z' => Some("names are lower-case letters, digits, `_' and `.'; text goes in quotes"),
            b')' | b'+' | b'-' | b'.' | b':' => {
                Some("a setting is `key = value`, with a number, a quoted string or a [list]")
            }
            _ => None,
        };
        LexError { span, message: format!("unexpected `{word}'"), help }
    }

    fn string(&mut self, quote: u8) -> Result<Token, LexError> {
        let start = self.at;
        self.at += 1;
        let mut decoded = Vec::new();
        loop {
            let plain = self.at;
            self.skip_while(|b| b != quote && b != b'\\' && b != b'\n' && b != 0);
            decoded.extend_from_slice(&self.bytes[plain..self.at]);
            match self.peek() {
                Some(b) if b == quote => break,
                Some(b'\\') if self.peek_at(1).is_some_and(|b| b != b'\n') => decoded.push(self.escape()?),
                Some(0) => return Err(self.string_error(self.at, "a string cannot contain a zero byte", None)),
                _ => {
                    let help = Some("a string ends on the line where it starts, with the quote that began it");
                    return Err(self.string_error(start, "this string has no end", help));
                }
            }
        }
        self.at += 1;
        match String::from_utf8(decoded) {
            Ok(text) => Ok(Token::String(text)),
            Err(_) => Err(self.string_error(start, "this string is not UTF-8", None)),
        }
    }

    fn string_error(&self, start: usize, message: &str, help: Option<&'static str>) -> LexError {
        LexError { span: Span::new(start, self.at.max(start + 1)), message: message.to_string(), help }
    }

    /// One escape, from the backslash on.
    fn escape(&mut self) -> Result<u8, LexError> {
        let start = self.at;
        let letter = self.peek_at(1).unwrap_or_default();
        self.at += 2;
        let byte = match letter {
            b'"' | b'\'' | b'\\' => letter,
            b'a' => 0x07,
            b'b' => 0x08,
            b'f' => 0x0c,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'v' => 0x0b,
            b'x' => return self.numeric_escape(start, 2, 2, 16),
            b'0'..=b'7' => {
                self.at -= 1;
                return self.numeric_escape(start, 1, 3, 8);
            }
            _ => {
                let help = Some("escapes are \\\\ \\\" \\' \\a \\b \\f \\n \\r \\t \\v, \\xHH and \\ooo");
                return Err(self.string_error(start, "there is no such escape", help));
            }
        };
        Ok(byte)
    }

    fn numeric_escape(&mut self, start: usize, min: usize, max: usize, base: u32) -> Result<u8, LexError> {
        let rest = &self.bytes[self.at..];
        let count = rest.iter().take(max).take_while(|b| (**b as char).is_digit(base)).count();
        let value = rest[..count].iter().filter_map(|b| (*b as char).to_digit(base)).fold(0, |v, d| v * base + d);
        self.at += count;
        match u8::try_from(value) {
            Ok(byte) if count >= min && byte != 0 => Ok(byte),
            _ => Err(self.string_error(start, "not the number of a character", Some("write \\xHH or \\ooo, not zero"))),
        }
    }
}

/// The word without what a terminal would act on, cut to a sane length.
fn shown(word: &str) -> String {
    word.chars().take(40).map(printable).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(text: &[u8]) -> Result<Vec<Token>, LexError> {
        let mut lexer = Lexer::new(text, 0);
        let mut found = Vec::new();
        loop {
            match lexer.next()? {
                (Token::End, _) => return Ok(found),
                (token, _) => found.push(token),
            }
        }
    }

    fn string(text: &[u8]) -> Result<String, String> {
        match tokens(text) {
            Ok(tokens) => match tokens.as_slice() {
                [Token::String(s)] => Ok(s.clone()),
                other => Err(format!("{other:?}")),
            },
            Err(e) => Err(e.message),
        }
    }

    #[test]
    fn reads_every_kind() {
        assert_eq!(
            tokens(b"vif.default += [0x1f, 'a'] ; # c\n").unwrap(),
            [
                Token::Name("vif.default".into()),
                Token::Append,
                Token::Open,
                Token::Number("0x1f".into()),
                Token::Comma,
                Token::String("a".into()),
                Token::Close,
                Token::Semicolon,
                Token::Newline
            ]
        );
    }

    #[test]
    fn accepts_what_stock_rejects_without_cause() {
        assert_eq!(tokens(b"a=-5\r\n#x").unwrap().len(), 4);
        assert_eq!(string(br"'\x41\101\7z'").unwrap(), "AA\u{7}z");
    }

    #[test]
    fn decodes_strings() {
        assert_eq!(string(br#""a\tb\"c'""#).unwrap(), "a\tb\"c'");
        assert_eq!(string(b"'caf\xc3\xa9'").unwrap(), "caf\u{e9}");
        assert_eq!(string(b"'caf\xe9'").unwrap_err(), "this string is not UTF-8");
        assert_eq!(string(b"'a\nb'").unwrap_err(), "this string has no end");
        assert_eq!(string(b"'a\\\nb'").unwrap_err(), "this string has no end");
        assert_eq!(string(br"'\q'").unwrap_err(), "there is no such escape");
        assert_eq!(string(br"'\x4'").unwrap_err(), "not the number of a character");
        assert_eq!(string(br"'\777'").unwrap_err(), "not the number of a character");
        assert_eq!(string(b"'a\0b'").unwrap_err(), "a string cannot contain a zero byte");
    }

    #[test]
    fn stray_word_is_shown_whole() {
        let error = tokens(b"a = Foo(1)\n").unwrap_err();
        assert_eq!((error.message.as_str(), error.span), ("unexpected `Foo(1)'", Span::new(4, 10)));
    }
}
