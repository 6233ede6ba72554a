//! The TOML form: the same keys and values as xl.cfg, in TOML's own ways.
//!
//! Yes and no are `true` and `false`, devices are arrays of tables (`[[disk]]`), and lists within them are arrays.
//! It is lowered to the settings that xl.cfg would have, so both forms mean the same by construction.

use super::diagnostic::Diagnostics;
use super::grammar::{Kind, Settings, Value};
use super::keys::{self, Item, ItemForm, Shape};
use super::lexer;
use super::source::{Piece, Source, Span};
use std::borrow::Cow;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Parses the first part of a source.
pub(crate) fn parse(source: &Source, settings: &mut Settings, diagnostics: &mut Diagnostics) {
    let Ok(text) = std::str::from_utf8(source.first_part()) else {
        diagnostics.error_overall("this file is not UTF-8, as TOML has to be");
        return;
    };
    let (document, errors) = DeTable::parse_recoverable(text);
    for e in &errors {
        let span = e.span().map_or(Span::default(), |s| Span::new(s.start, s.end));
        diagnostics.error(span, e.message());
    }
    if errors.is_empty() {
        Lowering { settings, diagnostics }.table("", document.get_ref());
    }
}

struct Lowering<'a> {
    settings: &'a mut Settings,
    diagnostics: &'a mut Diagnostics,
}

/// An error has been reported.
struct Reported;

fn span_of<T>(spanned: &Spanned<T>) -> Span {
    Span::new(spanned.span().start, spanned.span().end)
}

impl Lowering<'_> {
    /// The keys of a table; a table within is a name with a dot, as `vif.default.bridge`.
    fn table(&mut self, prefix: &str, table: &DeTable<'_>) {
        for (key, value) in table.iter() {
            let name = format!("{prefix}{}", key.get_ref());
            let item = keys::find(&name).and_then(|known| match known.shape {
                Shape::Items(item) => Some(item),
                _ => None,
            });
            let lowered = match value.get_ref() {
                // xl.conf's `vif.default` is no list of devices.
                DeValue::Table(inner) if item.is_none() || inner.iter().any(|(_, v)| v.get_ref().is_table()) => {
                    self.table(&format!("{name}."), inner);
                    continue;
                }
                DeValue::Table(_) => self.refuse(span_of(value), &format!("a list of tables is expected: [[{name}]]")),
                DeValue::Array(array) => self.list(array, item, span_of(value)),
                _ => self.atom(value),
            };
            if !lexer::is_name(&name) {
                let shown: String = name.chars().take(64).collect();
                self.diagnostics
                    .error(span_of(key), format!("unknown key `{shown}': no key has such a name"))
                    .did_you_mean(&name, keys::KEYS.iter().map(|k| k.name));
            } else if let Ok(lowered) = lowered {
                self.settings.store(name, span_of(key), lowered, false, self.diagnostics);
            }
        }
    }

    fn list(&mut self, array: &[Spanned<DeValue<'_>>], item: Option<Item>, span: Span) -> Result<Value, Reported> {
        let mut items = Vec::new();
        for value in array {
            items.push(match (value.get_ref(), item) {
                (DeValue::Table(table), Some(item)) => self.item(table, item, span_of(value))?,
                (DeValue::Array(inner), _) => self.list(inner, None, span_of(value))?,
                _ => self.atom(value)?,
            });
        }
        Ok(Value::new(Kind::List(items), span))
    }

    fn atom(&mut self, value: &Spanned<DeValue<'_>>) -> Result<Value, Reported> {
        let kind = match value.get_ref() {
            DeValue::String(text) if text.contains('\0') => {
                return self.refuse(span_of(value), "a string cannot contain a zero byte");
            }
            DeValue::String(text) => Kind::String(text.to_string()),
            DeValue::Boolean(on) => Kind::Number(u8::from(*on).to_string()),
            DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
                Ok(number) => Kind::Number(number.to_string()),
                Err(_) => return self.refuse(span_of(value), "this number is too large"),
            },
            DeValue::Float(_) => return self.refuse(span_of(value), "no key takes a number with a fraction"),
            DeValue::Datetime(_) => return self.refuse(span_of(value), "no key takes a date"),
            DeValue::Array(_) | DeValue::Table(_) => {
                return self.refuse(span_of(value), "a single value is expected here");
            }
        };
        Ok(Value::new(kind, span_of(value)))
    }

    fn refuse<T>(&mut self, span: Span, message: &str) -> Result<T, Reported> {
        self.diagnostics.error(span, message);
        Err(Reported)
    }

    /// One device, from its table to what xl.cfg has for it.
    fn item(&mut self, table: &DeTable<'_>, item: Item, span: Span) -> Result<Value, Reported> {
        if item.form == ItemForm::Pairs {
            return Ok(Spec::joined(self.pairs(table, item)?, ",").into_value(span));
        }
        let mut strings = Vec::new();
        match item.form {
            ItemForm::Cards => self.part(Spec::new("card", span), table, item, &mut strings)?,
            _ => strings = self.pairs(table, item)?,
        }
        let strings = strings.into_iter().map(|spec| spec.into_value(span)).collect();
        Ok(Value::new(Kind::List(strings), span))
    }

    /// A sound card, its PCM devices and their streams: `card`, `pcm`, `stream`.
    fn part(&mut self, kind: Spec, table: &DeTable<'_>, item: Item, parts: &mut Vec<Spec>) -> Result<(), Reported> {
        let mut part = vec![kind];
        let mut inner = Vec::new();
        for (key, value) in table.iter() {
            match (key.get_ref().as_ref(), value.get_ref()) {
                ("pcm" | "stream", DeValue::Array(array)) => inner.push((key, array)),
                _ => part.push(self.pair(key, value, item)?),
            }
        }
        parts.push(Spec::joined(part, ", "));
        for (key, array) in inner {
            for value in array.iter() {
                match value.get_ref() {
                    DeValue::Table(table) => self.part(Spec::new(key.get_ref(), span_of(key)), table, item, parts)?,
                    _ => return self.refuse(span_of(value), "a table is expected here"),
                }
            }
        }
        Ok(())
    }

    /// The pairs of a table, a disk's target last.
    fn pairs(&mut self, table: &DeTable<'_>, item: Item) -> Result<Vec<Spec>, Reported> {
        let mut pairs = Vec::new();
        let mut target = None;
        for (key, value) in table.iter() {
            let pair = self.pair(key, value, item)?;
            match item.keys == keys::DISK && key.get_ref() == "target" {
                true => target = Some(pair),
                false => pairs.push(pair),
            }
        }
        pairs.extend(target);
        pairs.retain(|pair| !pair.text.is_empty());
        Ok(pairs)
    }

    fn pair(
        &mut self,
        key: &Spanned<Cow<'_, str>>,
        value: &Spanned<DeValue<'_>>,
        item: Item,
    ) -> Result<Spec, Reported> {
        let name = key.get_ref().as_ref();
        let shape = item.keys.iter().find(|(known, _)| *known == name).map(|(_, shape)| *shape);
        if let (DeValue::Boolean(on), Some(Shape::Word)) = (value.get_ref(), shape) {
            return Ok(Spec::new(&flag(name, *on), span_of(key)));
        }
        if name.contains(['=', ',', ' ']) {
            return self.refuse(span_of(key), "there is no such key");
        }
        let text = match (value.get_ref(), shape) {
            (DeValue::Array(array), Some(Shape::Joined(separator))) => {
                let mut texts = Vec::new();
                for value in array.iter() {
                    texts.push(self.text(value)?);
                }
                Spec::joined(texts, separator)
            }
            _ => self.text(value)?,
        };
        // Only a disk's target goes to the end of the string; a list of strings has no commas of its own.
        let is_virtio_type = item.keys == keys::VIRTIO && name == "type" && text.text.starts_with("virtio");
        let may_have_comma = item.form == ItemForm::List || item.keys == keys::DISK && name == "target";
        match text.text.contains(',') {
            true if !may_have_comma && !is_virtio_type => {
                return self.refuse(span_of(value), "a comma cannot be part of this value");
            }
            false if is_virtio_type => return self.refuse(span_of(value), "this type is virtio,deviceN"),
            _ => {}
        }
        Ok(Spec::joined(vec![Spec::new(name, span_of(key)), text], "="))
    }

    /// The text of a single value.
    fn text(&mut self, value: &Spanned<DeValue<'_>>) -> Result<Spec, Reported> {
        let value = self.atom(value)?;
        value.atom().map(|text| Spec::new(text.text, text.span)).ok_or(Reported)
    }
}

/// A specification as xl.cfg has it, put together from keys and values of TOML.
#[derive(Default)]
struct Spec {
    text: String,
    pieces: Vec<Piece>,
}

impl Spec {
    fn new(text: &str, span: Span) -> Spec {
        Spec { text: text.to_string(), pieces: vec![Piece { range: 0..text.len(), span }] }
    }

    fn joined(specs: Vec<Spec>, separator: &str) -> Spec {
        let mut joined = Spec::default();
        for (n, spec) in specs.into_iter().enumerate() {
            if n > 0 {
                joined.text.push_str(separator);
            }
            let start = joined.text.len();
            joined.text.push_str(&spec.text);
            joined.pieces.extend(
                spec.pieces
                    .into_iter()
                    .map(|piece| Piece { range: piece.range.start + start..piece.range.end + start, ..piece }),
            );
        }
        joined
    }

    /// The value that this is in xl.cfg; the span is that of the table.
    fn into_value(self, span: Span) -> Value {
        Value { kind: Kind::String(self.text), span, pieces: self.pieces }
    }
}

/// The word of xl.cfg for a yes or no of a disk or network device; no word at all is no, too, for most.
fn flag(name: &str, on: bool) -> String {
    match (name, on) {
        (name, true) => name.to_string(),
        ("trusted", false) => "untrusted".to_string(),
        ("discard" | "colo", false) => format!("no-{name}"),
        (_, false) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The settings as xl.cfg has them, one a line, and the messages.
    fn lowered(text: &str) -> (String, Vec<String>) {
        let mut diagnostics = Diagnostics::new(false);
        let mut settings = Settings::default();
        parse(&Source::new("t.toml", text.as_bytes()), &mut settings, &mut diagnostics);
        let text = super::super::write::xl_cfg(&settings);
        (text, diagnostics.iter().map(|d| d.message.clone()).collect())
    }

    fn ok(text: &str) -> String {
        let (text, messages) = lowered(text);
        assert_eq!(messages, Vec::<String>::new());
        text
    }

    #[test]
    fn single_values() {
        let text =
            "name = 'a'\nmemory = 0x40\nacpi = true\nhap = false\nrtc_timeoffset = -5\n[vif.default]\nbridge = 'b'\n";
        assert_eq!(
            ok(text),
            "name = \"a\"\nmemory = 64\nacpi = 1\nhap = 0\nrtc_timeoffset = \"-5\"\nvif.default.bridge = \"b\"\n"
        );
    }

    #[test]
    fn devices_are_tables() {
        assert_eq!(
            ok("[[disk]]\ntarget = '/a,b'\nvdev = 'xvda'\ndiscard = false\ncdrom = false\ntrusted = true\n"),
            "disk = [ \"discard,trusted,vdev=xvda,target=/a,b\" ]\n".replace("discard,", "no-discard,")
        );
        assert_eq!(
            ok("vif = ['bridge=a', { bridge = 'b', mtu = 9000 }]\n"),
            "vif = [ \"bridge=a\", \"bridge=b,mtu=9000\" ]\n"
        );
        assert_eq!(
            ok("[[virtio]]\ntransport = 'mmio'\ntype = 'virtio,device22'\n"),
            "virtio = [ \"transport=mmio,type=virtio,device22\" ]\n"
        );
        assert_eq!(ok("[[vdispl]]\nconnectors = ['a:1x2', 'b:3x4']\n"), "vdispl = [ \"connectors=a:1x2;b:3x4\" ]\n");
        assert_eq!(
            ok("[[vnuma]]\nsize = 512\nvcpus = [0, '2-3']\n"),
            "vnuma = [ [ \"size=512\", \"vcpus=0,2-3\" ] ]\n"
        );
        assert_eq!(
            ok("[[vsnd]]\nshort-name = 'c'\n[[vsnd.pcm]]\nname = 'p'\n[[vsnd.pcm.stream]]\ntype = 'p'\n"),
            "vsnd = [ [ \"card, short-name=c\", \"pcm, name=p\", \"stream, type=p\" ] ]\n"
        );
    }

    /// What is wrong with a parameter is shown at its own line.
    #[test]
    fn parameters_have_places() {
        let text = "[[vif]]\nbrige = 'x'\nmac = '00:16'\n";
        let source = Source::new("t.toml", text.as_bytes());
        let mut settings = Settings::default();
        parse(&source, &mut settings, &mut Diagnostics::new(false));
        let list = settings.get("vif").unwrap().value.list().unwrap();
        let parameters: Vec<_> = list[0].atom().unwrap().tokens(&[',']).collect();
        assert_eq!(source.slice(parameters[0].span), "brige = 'x");
        assert_eq!(source.slice(parameters[1].split_once('=').unwrap().1.span), "00:16");
    }

    #[test]
    fn says_what_is_wrong() {
        assert_eq!(lowered("memory = 1.5\n").1, ["no key takes a number with a fraction"]);
        assert_eq!(lowered("[[vif]]\nbridge = 'a,mac=1'\n").1, ["a comma cannot be part of this value"]);
        assert_eq!(lowered("[disk]\nvdev = 'a'\n").1, ["a list of tables is expected: [[disk]]"]);
        assert_eq!(lowered("disk = [[{}]]\n").1, ["a single value is expected here"]);
        assert_eq!(lowered("memory = \n").1.len(), 1);
        for name in ["Memory", "vnc-listen", "\"\"", "\"a b\"", "\"1\"", "A.b"] {
            let (cfg, messages) = lowered(&format!("{name} = 1\n"));
            assert!(cfg.is_empty() && messages[0].starts_with("unknown key"), "{name}: {messages:?}");
        }
    }

    #[test]
    fn deep_nesting_is_answered_at_once() {
        assert!(!lowered(&format!("a = {}", "[".repeat(1_000_000))).1.is_empty());
    }
}
