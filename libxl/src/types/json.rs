//! JSON text as libxl writes it with yajl, and reading it with errors that name the place.

use std::io::{self, Write};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::ser::{CharEscape, Formatter, Serializer};

use crate::{Error, Result};

/// The text of a value: four spaces of indentation, no newline at the end.
///
/// # Examples
/// ```
/// let range = libxl::types::IoportRange { first: 0x60, number: 0 };
/// assert_eq!(libxl::types::json::to_string(&range), "{\n    \"first\": 96\n}");
/// ```
pub fn to_string<T: Serialize + ?Sized>(value: &T) -> String {
    let mut text = Vec::new();
    value
        .serialize(&mut Serializer::with_formatter(&mut text, Beautify::default()))
        .expect("a value in memory always has a text");
    String::from_utf8(text).expect("JSON is UTF-8")
}

/// Reads a value. The error names the key: `b_info.max_vcpus: invalid type: string "2", expected u32`.
pub fn from_str<T: DeserializeOwned>(text: &str) -> Result<T> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|e| {
        let place = e.path().to_string();
        let error = Error::fail(e.inner().to_string());
        if place == "." { error } else { error.context(place) }
    })?;
    deserializer.end().map_err(|e| Error::fail(e.to_string()))?;
    Ok(value)
}

/// Enough blanks for the depth that is usual.
const BLANKS: &[u8] = &[b' '; 32];

/// yajl's `beautify` form, in which an empty object or array takes two lines.
#[derive(Default)]
struct Beautify {
    depth: usize,
}

impl Beautify {
    fn open<W: Write + ?Sized>(&mut self, writer: &mut W, bracket: &[u8]) -> io::Result<()> {
        self.depth += 1;
        writer.write_all(bracket)?;
        writer.write_all(b"\n")
    }

    fn close<W: Write + ?Sized>(&mut self, writer: &mut W, bracket: &[u8]) -> io::Result<()> {
        self.depth -= 1;
        writer.write_all(b"\n")?;
        self.indent(writer)?;
        writer.write_all(bracket)
    }

    fn next<W: Write + ?Sized>(&mut self, writer: &mut W, is_first: bool) -> io::Result<()> {
        if !is_first {
            writer.write_all(b",\n")?;
        }
        self.indent(writer)
    }

    fn indent<W: Write + ?Sized>(&self, writer: &mut W) -> io::Result<()> {
        let mut width = self.depth * 4;
        while width > 0 {
            let part = width.min(BLANKS.len());
            writer.write_all(&BLANKS[..part])?;
            width -= part;
        }
        Ok(())
    }
}

impl Formatter for Beautify {
    fn begin_array<W: Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        self.open(writer, b"[")
    }

    fn end_array<W: Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        self.close(writer, b"]")
    }

    fn begin_array_value<W: Write + ?Sized>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.next(writer, first)
    }

    fn begin_object<W: Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        self.open(writer, b"{")
    }

    fn end_object<W: Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        self.close(writer, b"}")
    }

    fn begin_object_key<W: Write + ?Sized>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.next(writer, first)
    }

    fn begin_object_value<W: Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b": ")
    }

    /// As serde_json, but with yajl's capital hexadecimal digits.
    fn write_char_escape<W: Write + ?Sized>(&mut self, writer: &mut W, escape: CharEscape) -> io::Result<()> {
        let letter = match escape {
            CharEscape::Quote => b'"',
            CharEscape::ReverseSolidus => b'\\',
            CharEscape::Solidus => b'/',
            CharEscape::Backspace => b'b',
            CharEscape::FormFeed => b'f',
            CharEscape::LineFeed => b'n',
            CharEscape::CarriageReturn => b'r',
            CharEscape::Tab => b't',
            CharEscape::AsciiControl(byte) => return write!(writer, "\\u{byte:04X}"),
        };
        writer.write_all(&[b'\\', letter])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{DomainConfig, DomainType, KeyValueList};

    #[test]
    fn empty_aggregates_take_two_lines() {
        assert_eq!(to_string(&KeyValueList::default()), "{\n\n}");
        assert_eq!(to_string(&vec![Vec::<u32>::new()]), "[\n    [\n\n    ]\n]");
    }

    #[test]
    fn escapes_are_yajls() {
        assert_eq!(to_string("a/\"\\\n\u{1b}\u{7f}é"), "\"a/\\\"\\\\\\n\\u001B\u{7f}é\"");
    }

    #[test]
    fn errors_name_the_place() {
        let error = from_str::<DomainConfig>(r#"{"b_info": {"type.hvm": {"vnc": {"display": "1"}}}}"#).unwrap_err();
        assert!(error.to_string().starts_with("b_info.type.hvm.vnc.display: invalid type: string"), "{error}");
        let error = from_str::<DomainConfig>(r#"{"disks": [{}, {"format": "iso"}]}"#).unwrap_err();
        assert!(error.to_string().starts_with("disks[1].format: unknown name \"iso\""), "{error}");
        assert!(from_str::<DomainConfig>("{} x").is_err());
    }

    #[test]
    fn unknown_keys_are_ignored_and_missing_ones_default() {
        let config: DomainConfig = from_str(r#"{"c_info": {"type": "PVH", "later": [{}]}, "num_disks": 3}"#).unwrap();
        assert_eq!(config.c_info.type_, DomainType::Pvh);
        assert_eq!(config.disks, []);
    }
}
