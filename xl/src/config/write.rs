//! Settings as text: in the form of xl.cfg, and in TOML.

use super::disk;
use super::grammar::{Kind, Setting, Settings, Value};
use super::keys::{self, Item, ItemForm, Shape};
use super::number;
use super::xlconf;
use std::fmt::Write;

/// The settings that say something, in the order of their places in the source.
fn in_order(settings: &Settings) -> Vec<&Setting> {
    let mut all: Vec<&Setting> = settings.iter().filter(|s| !is_void(s)).collect();
    all.sort_by_key(|s| s.name_span.start);
    all
}

/// The keys whose settings have no effect and are not written: numbers to which something was added.
pub(crate) fn left_out(settings: &Settings) -> impl Iterator<Item = &str> {
    settings.iter().filter(|s| is_void(s)).map(|s| s.name.as_str())
}

/// Whether `+=` was the last word on a number, so that xl ignores it. The other form has no words for that.
fn is_void(setting: &Setting) -> bool {
    let is_number = |key: &keys::Key| matches!(key.shape, Shape::Bool | Shape::Integer);
    setting.appended && setting.value.list().is_none() && keys::find(&setting.name).is_some_and(is_number)
}

/// The settings in the form of xl.cfg, which stock xl reads too.
pub(crate) fn xl_cfg(settings: &Settings) -> String {
    in_order(settings).iter().fold(String::new(), |mut out, setting| {
        let _ = writeln!(out, "{} = {}", setting.name, cfg_value(&setting.value));
        out
    })
}

fn cfg_value(value: &Value) -> String {
    match &value.kind {
        // Stock xl reads a negative number only within quotes.
        Kind::Number(text) if !text.starts_with('-') => text.clone(),
        Kind::Number(text) | Kind::String(text) => cfg_string(text),
        Kind::List(items) => format!("[ {} ]", items.iter().map(cfg_value).collect::<Vec<_>>().join(", ")),
    }
}

fn cfg_string(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            '\x07' => out.push_str("\\a"),
            '\x08' => out.push_str("\\b"),
            '\x0c' => out.push_str("\\f"),
            '\x0b' => out.push_str("\\v"),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// The settings in TOML. Devices become tables where that says the same.
pub(crate) fn toml(settings: &Settings) -> String {
    let (mut plain, mut tables) = (String::new(), String::new());
    for setting in in_order(settings) {
        let shape = keys::find(&setting.name).map(|k| k.shape);
        let name = toml_key(&setting.name, settings);
        match (shape, setting.value.list()) {
            (Some(Shape::Items(item)), Some(items)) if !items.is_empty() => {
                match items.iter().map(|value| raise(value, item)).collect::<Option<Vec<_>>>() {
                    Some(raised) => raised.iter().for_each(|pairs| {
                        let _ = writeln!(tables, "\n[[{name}]]");
                        for (key, value) in pairs {
                            let _ = writeln!(tables, "{key} = {value}");
                        }
                    }),
                    None => {
                        let _ = writeln!(plain, "{name} = {}", toml_value(&setting.value, None));
                    }
                }
            }
            (shape, _) => {
                let _ = writeln!(plain, "{name} = {}", toml_value(&setting.value, shape));
            }
        }
    }
    plain + &tables
}

/// A name as a key. Those of xl.conf that have dots are keys within tables, in TOML's own sense; others are one word.
fn toml_key(name: &str, settings: &Settings) -> String {
    match name.split_once('.') {
        Some((table, _)) if !xlconf::KEYS.contains(&name) || settings.iter().any(|s| s.name == table) => {
            format!("\"{name}\"")
        }
        _ => name.to_string(),
    }
}

/// A value; a number that the key takes as such is one in TOML too.
fn toml_value(value: &Value, shape: Option<Shape>) -> String {
    match &value.kind {
        Kind::List(items) => {
            format!("[{}]", items.iter().map(|v| toml_value(v, shape)).collect::<Vec<_>>().join(", "))
        }
        Kind::Number(text) | Kind::String(text) => match (shape, number::whole(text, 0)) {
            (Some(Shape::Bool | Shape::StringsOrBool), Some(number @ (0 | 1))) => (number == 1).to_string(),
            (Some(Shape::Bool | Shape::Integer | Shape::IntegerOrChoice(_) | Shape::StringsOrBool), Some(number)) => {
                number.to_string()
            }
            (Some(Shape::Number), _) if is_plain_number(text) => text.clone(),
            (None, _) if matches!(value.kind, Kind::Number(_)) && is_plain_number(text) => text.clone(),
            _ => toml_string(text),
        },
    }
}

fn toml_string(text: &str) -> String {
    toml::Value::String(text.to_string()).to_string()
}

/// A device as the pairs of a table, if it is written so that they say the same.
fn raise(value: &Value, item: Item) -> Option<Vec<(String, String)>> {
    let specs: Vec<String> = match (item.form, &value.kind) {
        (ItemForm::Pairs, Kind::String(spec)) if item.keys == keys::DISK => named_disk(spec)?,
        (ItemForm::Pairs, Kind::String(spec)) => parameters(spec, item),
        (ItemForm::List, Kind::List(items)) => {
            items.iter().map(|v| v.atom().map(|t| t.text.to_string())).collect::<Option<_>>()?
        }
        _ => return None,
    };
    let mut pairs: Vec<(String, String)> = Vec::new();
    for spec in &specs {
        let (key, text) = match spec.split_once('=') {
            Some((key, text)) => (key, Some(text)),
            None => (spec.as_str(), None),
        };
        let (key, negated) = plain_flag(key);
        let (_, shape) = item.keys.iter().find(|(known, _)| *known == key)?;
        let text = match (text, shape) {
            (None, Shape::Word) => (!negated).to_string(),
            (Some(text), Shape::Bool) if matches!(text, "0" | "1") => (text == "1").to_string(),
            (Some(text), Shape::Integer) if is_plain_number(text) => text.to_string(),
            (Some(text), shape) if !matches!(shape, Shape::Bool | Shape::Word) && text.trim() == text => {
                toml_string(text)
            }
            _ => return None,
        };
        if pairs.iter().any(|(known, _)| known == key) {
            return None;
        }
        pairs.push((key.to_string(), text));
    }
    (!pairs.is_empty()).then_some(pairs)
}

/// The parameters of a specification. In a virtio device's type there is a comma.
fn parameters(spec: &str, item: Item) -> Vec<String> {
    let mut pieces = spec.split(',').map(|piece| piece.trim_start_matches(' ')).filter(|piece| !piece.is_empty());
    let mut parameters = Vec::new();
    while let Some(piece) = pieces.next() {
        let number = if item.keys == keys::VIRTIO && piece.starts_with("type=virtio") { pieces.next() } else { None };
        parameters.push(number.map_or(piece.to_string(), |number| format!("{piece},{number}")));
    }
    parameters
}

/// Without the blanks that xl skips before a parameter.
fn skip_blanks(text: &str) -> &str {
    text.trim_start_matches([' ', '\t', '\n'])
}

/// The name of a flag, and whether this word says no to it.
fn plain_flag(word: &str) -> (&str, bool) {
    match word {
        "untrusted" => ("trusted", true),
        "no-discard" | "no-colo" => (&word[3..], true),
        word => (word, false),
    }
}

/// The parameters of a disk, those known by their place with the names they have in a table. None if the target has
/// an old prefix or is left out: its place has another meaning then.
fn named_disk(spec: &str) -> Option<Vec<String>> {
    let mut places = ["target", "format", "vdev", "access"].into_iter();
    let mut named = Vec::new();
    let mut rest = skip_blanks(spec);
    while !rest.is_empty() {
        if disk::prefix_length(rest).is_some() {
            return None;
        }
        // The target goes to the end of the string.
        let (piece, after) =
            if rest.starts_with("target=") { (rest, "") } else { rest.split_once(',').unwrap_or((rest, "")) };
        rest = skip_blanks(after);
        let is_flag = keys::DISK.contains(&(plain_flag(piece).0, Shape::Word));
        if piece.contains('=') || is_flag {
            named.push(piece.to_string());
            continue;
        }
        match (places.next()?, piece) {
            ("target", "") => return None,
            ("vdev", piece) => {
                let (vdev, kind) = piece.split_once(':').unwrap_or((piece, ""));
                named.push(format!("vdev={vdev}"));
                named.extend((!kind.is_empty()).then(|| format!("devtype={kind}")));
            }
            (_, "") => {}
            (place, piece) => named.push(format!("{place}={piece}")),
        }
    }
    Some(named)
}

/// Whether TOML would read and write the number just as it is here.
fn is_plain_number(text: &str) -> bool {
    text.parse::<i64>().is_ok_and(|n| n.to_string() == text)
}

#[cfg(test)]
mod tests {
    use super::super::diagnostic::Diagnostics;
    use super::super::form::Form;
    use super::super::source::Source;
    use super::*;

    fn settings(text: &str, form: Form) -> Settings {
        let mut diagnostics = Diagnostics::new(false);
        let settings = form.parse(&Source::new("t", text.as_bytes()), &mut diagnostics);
        assert!(!diagnostics.has_errors(), "{text}");
        settings
    }

    /// A table has no words for them.
    #[test]
    fn disks_with_old_prefixes_stay_strings() {
        for spec in ["phy:/dev/a,xvda,w", "/x,raw:xvda,r", "/x, file:xvda"] {
            assert_eq!(named_disk(spec), None, "{spec}");
        }
        assert_eq!(
            named_disk("/a:b,raw,hdc:cdrom").unwrap(),
            ["target=/a:b", "format=raw", "vdev=hdc", "devtype=cdrom"]
        );
    }

    #[test]
    fn to_toml_and_back_says_the_same() {
        let cfg = "name = \"a\\tb\\\"\"\nmemory = 64\nrtc_timeoffset = \"-5\"\n\
                   disk = [ \"vdev=xvda,no-discard,target=/a,b\" ]\n\
                   pci = [ \"bdf=01:00.0,seize=1\" ]\nvnuma = [ [ \"size=512\", \"vcpus=0,1\" ] ]\n";
        let toml = toml(&settings(cfg, Form::Cfg));
        assert!(toml.contains("[[disk]]\nvdev = \"xvda\"\ndiscard = false\ntarget = \"/a,b\"\n"), "{toml}");
        let back = xl_cfg(&settings(&toml, Form::Toml));
        for line in ["name = \"a\\tb\\\"\"", "memory = 64", "rtc_timeoffset = \"-5\"", "vnuma = [ [ \"size=512\""] {
            assert!(back.contains(line), "{back}");
        }
        assert!(back.contains("disk = [ \"no-discard,vdev=xvda,target=/a,b\" ]"), "{back}");
        assert!(back.contains("pci = [ \"bdf=01:00.0,seize=1\" ]"), "{back}");
    }

    #[test]
    fn places_get_names() {
        let table = toml(&settings("disk = [ \"/a,,hdc:cdrom,r,discard\" ]\n", Form::Cfg));
        let pairs = "target = \"/a\"\nvdev = \"hdc\"\ndevtype = \"cdrom\"\naccess = \"r\"\ndiscard = true\n";
        assert_eq!(table, format!("\n[[disk]]\n{pairs}"));
    }

    #[test]
    fn a_number_that_was_added_to_is_left_out() {
        let settings = settings("memory = 1\nmemory += 2\nextra = 'a'\nextra += 'b'\n", Form::Cfg);
        assert_eq!(toml(&settings), "extra = \"ab\"\n");
        assert_eq!(left_out(&settings).collect::<Vec<_>>(), ["memory"]);
    }

    #[test]
    fn what_is_no_table_stays_a_string() {
        for value in
            ["[ \"phy:/a,xvda,w\" ]", "[ \",hdc:cdrom,r\" ]", "[ \"vdev=a,vdev=b\" ]", "[ \"\" ]", "[ \"odd=1\" ]"]
        {
            let cfg = format!("disk = {value}\n");
            let toml = toml(&settings(&cfg, Form::Cfg));
            assert_eq!(xl_cfg(&settings(&toml, Form::Toml)), cfg, "{toml}");
        }
    }

    #[test]
    fn dots_make_tables_in_xl_conf_only() {
        let cfg = "claim_mode = 0\nvif.default.bridge = \"b\"\nodd..name = [ 1 ]\n";
        let toml = toml(&settings(cfg, Form::Cfg));
        assert_eq!(toml, "claim_mode = 0\nvif.default.bridge = \"b\"\n\"odd..name\" = [1]\n");
        assert_eq!(xl_cfg(&settings(&toml, Form::Toml)), cfg);
    }

    #[test]
    fn kinds_follow_the_key() {
        let toml = toml(&settings("acpi='1'\nname=7\nhap=2\ntsc_mode=1\nserial=['a']\n", Form::Cfg));
        assert_eq!(toml, "acpi = true\nname = \"7\"\nhap = 2\ntsc_mode = 1\nserial = [\"a\"]\n");
    }
}
