//! The grammar of xl's configuration language: settings of values, lists and lists of lists.

use super::diagnostic::Diagnostics;
use super::keys::{self, Shape};
use super::lexer::{Lexer, Token};
use super::source::{Piece, Source, Span, Text};
use rustc_hash::FxHashMap;
use std::cell::Cell;

/// Deepest nesting of lists. Nothing of xl's has more than two levels.
const MAX_DEPTH: usize = 100;

/// Most items of one list. Xen has no use for as many as that of anything.
const MAX_ITEMS: usize = 10_000;

/// The value of a setting or an item of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Value {
    /// The value itself.
    pub(crate) kind: Kind,
    /// Where it stands.
    pub(crate) span: Span,
    /// Where the parts of a string stand that was put together; none for others.
    pub(crate) pieces: Vec<Piece>,
}

/// A single value or a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A number, as it is written.
    Number(String),
    /// A string, decoded.
    String(String),
    /// A list.
    List(Vec<Value>),
}

impl Value {
    /// A value at a place.
    pub(crate) fn new(kind: Kind, span: Span) -> Value {
        Value { kind, span, pieces: Vec::new() }
    }

    /// The text of a single value, number or string: stock xl does not tell them apart.
    pub(crate) fn atom(&self) -> Option<Text<'_>> {
        match &self.kind {
            Kind::Number(text) => Some(Text::new(text, self.span)),
            Kind::String(text) if !self.pieces.is_empty() => Some(Text::of_pieces(text, self.span, &self.pieces)),
            Kind::String(text) => {
                // Within the quotes, if there are any in the source.
                let inner = Span::new(self.span.start + 1, self.span.end.saturating_sub(1));
                let quoted = self.span.end - self.span.start == text.len() + 2;
                Some(Text::new(text, if quoted { inner } else { self.span }))
            }
            Kind::List(_) => None,
        }
    }

    /// The items, if this is a list.
    pub(crate) fn list(&self) -> Option<&[Value]> {
        match &self.kind {
            Kind::List(items) => Some(items),
            _ => None,
        }
    }

    /// Whether this or a list within it is longer than any list can be meant to be.
    fn is_endless(&self) -> bool {
        self.list().is_some_and(|items| items.len() > MAX_ITEMS || items.iter().any(Value::is_endless))
    }
}

/// What a configuration says about one key.
#[derive(Debug)]
pub(crate) struct Setting {
    /// The key.
    pub(crate) name: String,
    /// Where the key stands.
    pub(crate) name_span: Span,
    /// Its value: the last one given, with whatever `+=` added to it.
    pub(crate) value: Value,
    /// Whether the last operator was `+=`.
    pub(crate) appended: bool,
    /// Whether somebody asked for it.
    pub(crate) used: Cell<bool>,
}

/// The settings of a configuration, in the order in which their keys first appear.
#[derive(Debug, Default)]
pub(crate) struct Settings {
    all: Vec<Setting>,
    /// Where they stand. Every key that xl knows is looked up in every configuration: 200 times.
    by_name: FxHashMap<String, usize>,
}

impl Settings {
    /// What is said about a key. It counts as used from now on.
    pub(crate) fn get(&self, name: &str) -> Option<&Setting> {
        let setting = &self.all[*self.by_name.get(name)?];
        setting.used.set(true);
        Some(setting)
    }

    /// All of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Setting> {
        self.all.iter()
    }

    /// Gives a key its value, or adds to it.
    pub(crate) fn store(
        &mut self,
        name: String,
        name_span: Span,
        value: Value,
        append: bool,
        diagnostics: &mut Diagnostics,
    ) {
        if value.is_endless() {
            diagnostics.error(name_span, format!("`{name}' has a list of more than {MAX_ITEMS} items"));
            return;
        }
        let Some(&index) = self.by_name.get(&name) else {
            self.by_name.insert(name.clone(), self.all.len());
            self.all.push(Setting { name, name_span, value, appended: append, used: Cell::new(false) });
            return;
        };
        let setting = &mut self.all[index];
        setting.name_span = name_span;
        setting.appended = append;
        if !append {
            setting.value = value;
            return;
        }
        let span = value.span;
        match (&mut setting.value.kind, value.kind) {
            (Kind::List(items), Kind::List(more)) if items.len() + more.len() > MAX_ITEMS => {
                diagnostics.error(span, format!("`{name}' has a list of more than {MAX_ITEMS} items"));
            }
            (Kind::List(items), Kind::List(more)) => items.extend(more),
            (Kind::Number(text) | Kind::String(text), Kind::Number(more) | Kind::String(more)) => {
                text.push_str(&more);
                // The parts stand in two places: what is wrong with the whole is shown at the added one.
                setting.value.span = span;
                setting.value.pieces.clear();
            }
            (kind, _) => {
                let was = if matches!(kind, Kind::List(_)) { "a list" } else { "a single value" };
                diagnostics.error(span, format!("`{name}' is {was}: only {was} can be added to it"));
            }
        }
    }
}

/// Parses a source from an offset on, on top of these settings. After an error it goes on at the next setting, so
/// that one run tells of all of them.
pub(crate) fn parse_from(source: &Source, start: usize, settings: &mut Settings, diagnostics: &mut Diagnostics) {
    let lexer = Lexer::new(source.bytes(), start);
    let first_part = source.first_part().len();
    let mut parser = Parser { lexer, token: Token::Newline, span: Span::default(), settings, diagnostics, first_part };
    if parser.advance().is_err() {
        parser.recover();
    }
    while parser.token != Token::End {
        if parser.statement().is_err() {
            parser.recover();
        }
    }
}

/// An error has been reported.
struct Reported;

/// What the grammar has at a place.
enum Wanted<'a> {
    /// An operator after the name of this key.
    Operator(&'a str),
    /// The value of this key, or an item in a list of it.
    Value(&'a str, bool),
    /// The next item, or the end of the list that starts at this offset.
    Next(usize),
    /// The end of a line.
    LineEnd,
}

struct Parser<'a> {
    lexer: Lexer<'a>,
    token: Token,
    span: Span,
    settings: &'a mut Settings,
    diagnostics: &'a mut Diagnostics,
    /// Where the file ends and the command line starts.
    first_part: usize,
}

impl Parser<'_> {
    fn advance(&mut self) -> Result<(), Reported> {
        match self.lexer.next() {
            Ok((token, span)) => {
                (self.token, self.span) = (token, span);
                Ok(())
            }
            Err(e) => {
                self.span = e.span;
                let is_full = self.diagnostics.is_full();
                let diagnostic = self.diagnostics.error(e.span, e.message);
                if let Some(help) = e.help {
                    diagnostic.help(help);
                }
                if !is_full && let Some(name) = self.lexer.key_around(e.span) {
                    diagnostic.did_you_mean(&name, keys::KEYS.iter().map(|key| key.name));
                }
                Err(Reported)
            }
        }
    }

    /// Goes on at the next line that looks like a setting. What is wrong there is reported and skipped in turn.
    fn recover(&mut self) {
        loop {
            self.lexer.skip_to_setting(self.span.start);
            if self.advance().is_ok() {
                return;
            }
        }
    }

    /// An empty statement, or a setting and the end of its line.
    fn statement(&mut self) -> Result<(), Reported> {
        if let Token::Name(name) = &self.token {
            let (name, name_span) = (name.clone(), self.span);
            self.setting(name, name_span)?;
        }
        match self.token {
            Token::Newline | Token::Semicolon => self.advance(),
            Token::End => Ok(()),
            _ => Err(self.expected(Wanted::LineEnd)),
        }
    }

    fn setting(&mut self, name: String, name_span: Span) -> Result<(), Reported> {
        self.advance()?;
        let append = match self.token {
            Token::Assign => false,
            Token::Append => true,
            _ => return Err(self.expected(Wanted::Operator(&name))),
        };
        self.advance()?;
        let value = self.value(&name)?;
        if !append {
            self.tell_of_earlier(&name, name_span);
        }
        self.settings.store(name, name_span, value, append, self.diagnostics);
        Ok(())
    }

    /// Tells of an earlier setting of the key in the same file. That the command line goes before it is no mistake.
    fn tell_of_earlier(&mut self, name: &str, span: Span) {
        let earlier = self.settings.by_name.get(name).map(|&index| self.settings.all[index].name_span);
        if let Some(earlier) = earlier.filter(|_| span.start < self.first_part) {
            let found = self.diagnostics.ignored(earlier, format!("`{name}' is set again further down"));
            found.help("the last setting of a key counts; += adds to the one before");
        }
    }

    /// The value of a key; lists are collected on a stack of their own, not on the machine's.
    fn value(&mut self, name: &str) -> Result<Value, Reported> {
        let mut open: Vec<(usize, Vec<Value>)> = Vec::new();
        loop {
            let kind = match &self.token {
                Token::Number(text) => Kind::Number(text.clone()),
                Token::String(text) => Kind::String(text.clone()),
                Token::Open => {
                    if open.len() == MAX_DEPTH {
                        self.diagnostics.error(self.span, format!("lists are nested more than {MAX_DEPTH} deep"));
                        return Err(Reported);
                    }
                    open.push((self.span.start, Vec::new()));
                    self.advance()?;
                    self.skip_newlines()?;
                    if self.token != Token::Close {
                        continue;
                    }
                    Kind::List(open.pop().map(|(_, items)| items).unwrap_or_default())
                }
                _ => return Err(self.expected(Wanted::Value(name, !open.is_empty()))),
            };
            let value = Value::new(kind, self.span);
            self.advance()?;
            if let Some(value) = self.close(value, &mut open)? {
                return Ok(value);
            }
        }
    }

    /// Puts a value into the innermost open list and closes every list that ends here. Gives the value that is
    /// complete when no list is open any more.
    fn close(&mut self, mut value: Value, open: &mut Vec<(usize, Vec<Value>)>) -> Result<Option<Value>, Reported> {
        loop {
            let Some((start, mut items)) = open.pop() else { return Ok(Some(value)) };
            items.push(value);
            self.skip_newlines()?;
            if self.token == Token::Comma {
                self.advance()?;
                self.skip_newlines()?;
                if self.token != Token::Close {
                    open.push((start, items));
                    return Ok(None);
                }
            } else if self.token != Token::Close {
                return Err(self.expected(Wanted::Next(start)));
            }
            value = Value::new(Kind::List(items), Span::new(start, self.span.end));
            self.advance()?;
        }
    }

    fn skip_newlines(&mut self) -> Result<(), Reported> {
        while self.token == Token::Newline {
            self.advance()?;
        }
        Ok(())
    }

    fn expected(&mut self, wanted: Wanted<'_>) -> Reported {
        let what = match wanted {
            Wanted::Operator(name) => format!("`=' after `{name}'"),
            Wanted::Value(_, false) => "a value".to_string(),
            Wanted::Value(_, true) => "a value or `]'".to_string(),
            Wanted::Next(_) => "`,' or `]'".to_string(),
            Wanted::LineEnd => "the end of the line".to_string(),
        };
        let found = match &self.token {
            Token::Name(text) | Token::Number(text) => {
                format!("`{}'", text.chars().take(40).collect::<String>())
            }
            Token::String(_) => "a string".to_string(),
            Token::Comma => "`,'".to_string(),
            Token::Open => "`['".to_string(),
            Token::Close => "`]'".to_string(),
            Token::Assign => "`='".to_string(),
            Token::Append => "`+='".to_string(),
            Token::Semicolon => "`;'".to_string(),
            Token::Newline => "the end of the line".to_string(),
            Token::End => "the end of the file".to_string(),
        };
        let help = if self.diagnostics.is_full() { None } else { self.way_out(&wanted) };
        let diagnostic = self.diagnostics.error(self.span, format!("expected {what}, found {found}"));
        if let Some(help) = help {
            diagnostic.help(help);
        }
        Reported
    }

    /// What to do about a token where something else is wanted.
    fn way_out(&self, wanted: &Wanted<'_>) -> Option<String> {
        match (wanted, &self.token) {
            (Wanted::Value(..), Token::Name(text)) if matches!(text.as_str(), "true" | "yes" | "on") => {
                Some("yes is 1".to_string())
            }
            (Wanted::Value(..), Token::Name(text)) if matches!(text.as_str(), "false" | "no" | "off") => {
                Some("no is 0".to_string())
            }
            (Wanted::Value(name, _), Token::Name(_)) => {
                Some(match keys::find(name).map(|key| (key.shape, key.about)) {
                    Some((Shape::Integer | Shape::Bool, about)) => format!("`{name}' is a number: {about}"),
                    _ => format!("put text in quotes: \"{}\"", self.lexer.phrase_at(self.span.start)),
                })
            }
            (Wanted::Value(name, false), Token::Newline) => {
                Some(format!("`{name}' begins a line, and its value stands on it"))
            }
            (Wanted::Next(start), Token::Name(_) | Token::Number(_) | Token::Assign | Token::End) => {
                let line = self.lexer.line_of(*start);
                Some(format!("the list that begins on line {line} has no `]' at its end"))
            }
            (Wanted::Next(_), Token::String(_) | Token::Open) => {
                Some("between the items of a list is a comma".to_string())
            }
            (Wanted::LineEnd, Token::Name(_)) if self.lexer.is_at_operator() => {
                Some("each setting has a line of its own, or a `;' before it".to_string())
            }
            (Wanted::LineEnd, Token::Name(_)) => {
                Some("a number has no unit: memory is in MiB, times are in the unit the manual gives".to_string())
            }
            (Wanted::LineEnd, Token::Open) => {
                Some("a setting is `key = value`; sections are of TOML, in files whose name ends in .toml".to_string())
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Settings, Diagnostics) {
        let mut diagnostics = Diagnostics::new(false);
        let mut settings = Settings::default();
        parse_from(&Source::new("t", text.as_bytes()), 0, &mut settings, &mut diagnostics);
        (settings, diagnostics)
    }

    fn ok(text: &str) -> Settings {
        let (settings, diagnostics) = read(text);
        assert!(!diagnostics.has_errors(), "{}", diagnostics.render(&Source::new("t", text.as_bytes())));
        settings
    }

    fn errors(text: &str) -> Vec<String> {
        read(text).1.iter().map(|d| d.message.clone()).collect()
    }

    fn items(settings: &Settings, name: &str) -> Vec<String> {
        let list = settings.get(name).unwrap().value.list().unwrap();
        list.iter().map(|v| v.atom().map_or("[]".to_string(), |t| t.text.to_string())).collect()
    }

    #[test]
    fn last_setting_wins_and_append_adds() {
        let settings = ok("a=1\na='2'\nb=['x']\nb+=['y',['z']]\nc='p'; c+='q'\nd+=['new']");
        assert_eq!(settings.get("a").unwrap().value.atom().unwrap().text, "2");
        assert_eq!(items(&settings, "b"), ["x", "y", "[]"]);
        assert_eq!(settings.get("c").unwrap().value.atom().unwrap().text, "pq");
        assert_eq!(items(&settings, "d"), ["new"]);
    }

    #[test]
    fn newlines_are_allowed_inside_lists_only() {
        assert_eq!(items(&ok("a=[\n\n'x'\n,\n'y',\n\n]\n"), "a"), ["x", "y"]);
        assert_eq!(items(&ok("a=[\n]"), "a"), Vec::<String>::new());
        assert_eq!(errors("a=\n1\n"), ["expected a value, found the end of the line"]);
        assert_eq!(errors("a=['x',,]").len(), 1);
        assert_eq!(errors("a=[,]").len(), 1);
        assert_eq!(errors("a=['x' 'y']"), ["expected `,' or `]', found a string"]);
    }

    #[test]
    fn says_the_way_out() {
        for (text, help) in [
            ("vcpus = two", "`vcpus' is a number: vcpus at start"),
            ("acpi = yes", "yes is 1"),
            ("extra = root=/dev/xvda1 ro # c", "put text in quotes: \"root=/dev/xvda1 ro\""),
            ("disk = [ sda, 'x' ]", "put text in quotes: \"sda\""),
            ("\ndisk = [ 'a'\nvif = [ 'b' ]\n", "the list that begins on line 2 has no `]' at its end"),
            ("vif = [ 'b'", "the list that begins on line 1 has no `]' at its end"),
            ("disk = [ 'a' 'b' ]", "between the items of a list is a comma"),
            ("vcpus = 2 maxvcpus = 4", "each setting has a line of its own, or a `;' before it"),
            ("memory = 5 megabytes", "a number has no unit: memory is in MiB, times are in the unit the manual gives"),
            ("Memory = 512", "did you mean `memory'?"),
            ("max-mem = 512", "did you mean `maxmem'?"),
            ("memory = 1.5", "numbers are whole: 1536 for 1.5 GiB of memory"),
            ("name = \u{201c}web\u{201d}", "text goes in straight quotes: \"...\""),
            (
                "<domain type='xen'>",
                "this is XML: `virsh domxml-to-native xen-xl FILE' makes a configuration of libvirt's",
            ),
            ("memory: 512", "a setting is `key = value`, with a number, a quoted string or a [list]"),
            ("disk = ( 'a' )", "a list is in brackets: key = [ \"...\", \"...\" ]"),
        ] {
            let (_, diagnostics) = read(text);
            assert_eq!(diagnostics.iter().next().unwrap().help.as_deref(), Some(help), "{text}");
        }
    }

    #[test]
    fn a_key_that_is_set_twice_is_told_of() {
        let messages = |text: &str| errors(text);
        assert_eq!(messages("a=1\nb=2\na=3\n"), ["`a' is set again further down: ignored"]);
        assert_eq!(messages("a='1'\na+='2'\n"), [""; 0]);
        let mut source = Source::new("t", b"a=1\n");
        source.push("command line", b"a=2\na=3");
        let mut diagnostics = Diagnostics::new(true);
        parse_from(&source, 0, &mut Settings::default(), &mut diagnostics);
        assert_eq!(diagnostics.iter().count(), 0);
    }

    #[test]
    fn goes_on_after_an_error() {
        let (settings, diagnostics) = read("a=foo\nb=1\nc=[1,\n  x,\n 2]\nd=2\nE=1\nf=3");
        assert_eq!(diagnostics.iter().count(), 3);
        for name in ["b", "d", "f"] {
            assert!(settings.get(name).is_some(), "{name}");
        }
    }

    #[test]
    fn string_and_list_do_not_add_up() {
        assert_eq!(errors("a='x'\na+=['y']"), ["`a' is a single value: only a single value can be added to it"]);
    }

    #[test]
    fn place_of_a_string_is_inside_its_quotes() {
        let settings = ok("a='bcd'");
        let text = settings.get("a").unwrap().value.atom().unwrap();
        assert_eq!(text.from(1).span, Span::new(4, 6));
    }

    #[test]
    fn huge_input_is_answered_at_once() {
        let list = |items: usize| format!("a=[{}]", "'x',".repeat(items));
        assert_eq!(items(&ok(&list(10_000)), "a").len(), 10_000);
        assert_eq!(errors(&list(100_000)), ["`a' has a list of more than 10000 items"]);
        let deep = format!("a={}", "[".repeat(5_000_000));
        assert_eq!(errors(&deep), ["lists are nested more than 100 deep"]);
        let nested = format!("a={}{}", "[".repeat(100), "]".repeat(100));
        ok(&nested);
        let junk: Vec<u8> = (0..5_000_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let mut diagnostics = Diagnostics::new(false);
        parse_from(&Source::new("t", &junk), 0, &mut Settings::default(), &mut diagnostics);
        assert!(diagnostics.has_errors());
        assert_eq!(items(&ok(&"a+=['x']\n".repeat(10_000)), "a").len(), 10_000);
        assert_eq!(errors(&"a+=['x']\n".repeat(10_001)), ["`a' has a list of more than 10000 items"]);
    }
}
