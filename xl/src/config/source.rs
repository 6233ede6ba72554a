//! The text of a configuration and places in it.

use std::ops::Range;

/// A place in a [`Source`]: byte offsets, the end not included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Span {
    /// Offset of the first byte.
    pub(crate) start: usize,
    /// Offset after the last byte.
    pub(crate) end: usize,
}

impl Span {
    /// The place from `start` up to `end`.
    pub(crate) fn new(start: usize, end: usize) -> Span {
        Span { start, end }
    }
}

/// Everything that is parsed as one configuration: a file, and the `key=value` arguments that follow it.
///
/// Bytes, not text: stock xl reads comments in any encoding, so only values have to be UTF-8.
#[derive(Debug, Default)]
pub(crate) struct Source {
    bytes: Vec<u8>,
    parts: Vec<Part>,
}

#[derive(Debug)]
struct Part {
    name: String,
    start: usize,
}

/// Where an offset is, for people: lines and columns count from 1.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Location<'a> {
    /// The file, or "command line".
    pub(crate) name: &'a str,
    /// The line in that file.
    pub(crate) line: usize,
    /// The column in characters.
    pub(crate) column: usize,
    /// The line itself, without its end.
    pub(crate) text: String,
}

impl Source {
    /// The source that is one file, or one argument.
    pub(crate) fn new(name: &str, bytes: &[u8]) -> Source {
        let mut source = Source::default();
        source.push(name, bytes);
        source
    }

    /// Appends a part on lines of its own, as stock xl appends command line settings to the file.
    pub(crate) fn push(&mut self, name: &str, bytes: &[u8]) {
        if !self.parts.is_empty() {
            self.bytes.push(b'\n');
        }
        self.parts.push(Part { name: name.to_string(), start: self.bytes.len() });
        self.bytes.extend_from_slice(bytes);
    }

    /// All of it.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The first part: the file.
    pub(crate) fn first_part(&self) -> &[u8] {
        let end = self.parts.get(1).map_or(self.bytes.len(), |second| second.start.saturating_sub(1));
        &self.bytes[..end]
    }

    /// The bytes of a place, as text.
    pub(crate) fn slice(&self, span: Span) -> String {
        String::from_utf8_lossy(self.bytes.get(span.start..span.end).unwrap_or_default()).into_owned()
    }

    /// The name of the first part: what the configuration as a whole is called.
    pub(crate) fn name(&self) -> &str {
        self.parts.first().map_or("", |p| &p.name)
    }

    /// The file, line and column of an offset.
    pub(crate) fn locate(&self, offset: usize) -> Location<'_> {
        let offset = offset.min(self.bytes.len());
        let part = self.parts.iter().rev().find(|p| p.start <= offset);
        let (name, part_start) = part.map_or(("", 0), |p| (p.name.as_str(), p.start));
        let before = &self.bytes[part_start..offset];
        let line_start = before.iter().rposition(|&b| b == b'\n').map_or(part_start, |at| part_start + at + 1);
        let rest = &self.bytes[line_start..];
        let line = rest.split(|&b| b == b'\n').next().unwrap_or_default();
        Location {
            name,
            line: before.iter().filter(|&&b| b == b'\n').count() + 1,
            column: String::from_utf8_lossy(&self.bytes[line_start..offset]).chars().count() + 1,
            text: String::from_utf8_lossy(line).trim_end_matches('\r').to_string(),
        }
    }
}

/// A part of a text that stands in the source elsewhere than the rest of it: TOML has the parameters of a device as
/// keys and values, xl.cfg as one string.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    /// Where in the text.
    pub(crate) range: Range<usize>,
    /// Where in the source.
    pub(crate) span: Span,
}

impl Piece {
    /// The place of an offset within the text that is on this piece: exact, if the source holds these very bytes.
    fn place(&self, offset: usize) -> Span {
        match self.span.end - self.span.start == self.range.len() {
            true => {
                let at = self.span.start + offset - self.range.start;
                Span::new(at, at)
            }
            false => self.span,
        }
    }
}

/// A piece of a value that knows where in the source it stands, so that a sub-syntax can point at its own parts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Text<'a> {
    /// The decoded text.
    pub(crate) text: &'a str,
    /// Where it stands.
    pub(crate) span: Span,
    /// Whether the source holds these very bytes: not so if the string has escapes, and then every part of it is
    /// reported at the place of the whole.
    exact: bool,
    /// Where its parts stand, if not together; in their order.
    pieces: &'a [Piece],
    /// The offset of this text in that of the pieces.
    offset: usize,
}

impl<'a> Text<'a> {
    /// A text at a place. It is divisible if the place holds exactly this text.
    pub(crate) fn new(text: &'a str, span: Span) -> Text<'a> {
        Text { text, span, exact: span.end - span.start == text.len(), pieces: &[], offset: 0 }
    }

    /// A text whose parts stand at places of their own, and the place of the whole.
    pub(crate) fn of_pieces(text: &'a str, span: Span, pieces: &'a [Piece]) -> Text<'a> {
        Text { text, span, exact: false, pieces, offset: 0 }
    }

    /// The part with these byte offsets, which have to be on character boundaries.
    fn part(self, range: Range<usize>) -> Text<'a> {
        let text = self.text.get(range.clone()).unwrap_or_default();
        let offset = self.offset + range.start;
        let span = match self.exact {
            true => Span::new(self.span.start + range.start, self.span.start + range.start + text.len()),
            false => self.span_of_pieces(offset, offset + text.len()).unwrap_or(self.span),
        };
        Text { text, span, offset, ..self }
    }

    /// From the piece that one offset is on to that of the other.
    fn span_of_pieces(self, start: usize, end: usize) -> Option<Span> {
        let after = |offset: usize| self.pieces.get(self.pieces.partition_point(|piece| piece.range.end < offset));
        let first = after(start + 1).filter(|piece| piece.range.start <= start)?;
        let last = after(end).filter(|piece| piece.range.start < end)?;
        Some(Span::new(first.place(start).start, last.place(end).end))
    }

    /// From this offset on.
    pub(crate) fn from(self, start: usize) -> Text<'a> {
        self.part(start..self.text.len())
    }

    /// Up to this offset.
    pub(crate) fn to(self, end: usize) -> Text<'a> {
        self.part(0..end)
    }

    /// The non-empty pieces between delimiters, as C's `strtok` gives them.
    pub(crate) fn tokens(self, delimiters: &'static [char]) -> impl Iterator<Item = Text<'a>> {
        let base = self.text.as_ptr() as usize;
        self.text
            .split(delimiters)
            .filter(|piece| !piece.is_empty())
            .map(move |piece| self.part(offset_in(base, piece)..offset_in(base, piece) + piece.len()))
    }

    /// What is before and after the first `delimiter`.
    pub(crate) fn split_once(self, delimiter: char) -> Option<(Text<'a>, Text<'a>)> {
        let at = self.text.find(delimiter)?;
        Some((self.to(at), self.from(at + delimiter.len_utf8())))
    }

    /// What follows the prefix.
    pub(crate) fn strip_prefix(self, prefix: &str) -> Option<Text<'a>> {
        self.text.starts_with(prefix).then(|| self.from(prefix.len()))
    }

    /// Without blanks at the start.
    pub(crate) fn skip_spaces(self) -> Text<'a> {
        self.from(self.text.len() - self.text.trim_start_matches(' ').len())
    }

    /// Without white space at either end.
    pub(crate) fn trim(self) -> Text<'a> {
        let start = self.text.len() - self.text.trim_start().len();
        self.part(start..start.max(self.text.trim_end().len()))
    }
}

fn offset_in(base: usize, piece: &str) -> usize {
    piece.as_ptr() as usize - base
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locates_in_file_and_command_line() {
        let mut source = Source::new("a.cfg", b"x=1\n\xc3\xa9y=2\r\n");
        source.push("command line", b"z=3");
        let y = source.locate(6);
        assert_eq!((y.name, y.line, y.column, y.text.as_str()), ("a.cfg", 2, 2, "\u{e9}y=2"));
        let z = source.locate(source.bytes().len() - 1);
        assert_eq!((z.name, z.line, z.column, z.text.as_str()), ("command line", 1, 3, "z=3"));
    }

    #[test]
    fn parts_of_exact_text_have_their_own_place() {
        let text = Text::new("a=1,, b=2", Span::new(10, 19));
        let parts: Vec<_> = text.tokens(&[',']).map(Text::skip_spaces).map(|t| (t.text, t.span.start)).collect();
        assert_eq!(parts, [("a=1", 10), ("b=2", 16)]);
        let (key, value) = text.split_once('=').unwrap();
        assert_eq!((key.text, value.span.start), ("a", 12));
    }

    #[test]
    fn parts_of_pieces_are_at_their_places() {
        // a = "1", then "b\tb" in place of the key's name.
        let pieces = [(0..1, 20, 21), (2..3, 25, 26), (4..7, 30, 36)];
        let pieces = pieces.map(|(range, start, end)| Piece { range, span: Span::new(start, end) });
        let text = Text::of_pieces("a=1,b\tb", Span::new(10, 40), &pieces);
        let places: Vec<_> = text.tokens(&[',']).map(|t| (t.span.start, t.span.end)).collect();
        assert_eq!(places, [(20, 26), (30, 36)]);
        let (key, value) = text.to(3).split_once('=').unwrap();
        assert_eq!((key.span, value.span), (Span::new(20, 21), Span::new(25, 26)));
        assert_eq!(text.from(6).span, Span::new(30, 36));
    }

    #[test]
    fn parts_of_escaped_text_are_at_the_whole() {
        let text = Text::new("a\tb", Span::new(5, 9));
        assert_eq!(text.from(2).span, Span::new(5, 9));
        assert_eq!(text.from(2).text, "b");
        assert_eq!(Text::new("  ", Span::new(0, 2)).trim().text, "");
    }
}
