//! Typed access to settings, with the rules of stock xl: a value of the wrong kind is told of and not used.

use super::diagnostic::{Diagnostic, Diagnostics};
use super::grammar::{Setting, Settings, Value};
use super::items;
use super::keys::{self, ItemForm, Shape};
use super::number;
use super::source::{Span, Text};
use libxl::types::DefBool;

/// Settings, and where to say what is wrong with them.
pub(crate) struct Reader<'a> {
    /// The settings.
    pub(crate) settings: &'a Settings,
    /// The findings so far.
    pub(crate) diagnostics: &'a mut Diagnostics,
}

impl<'a> Reader<'a> {
    /// Whether something is said about the key.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.settings.get(key).is_some()
    }

    /// Where the key's value stands; the whole configuration if there is none.
    pub(crate) fn span(&self, key: &str) -> Span {
        self.settings.get(key).map_or(Span::default(), |s| s.value.span)
    }

    /// The key's single value.
    pub(crate) fn text(&mut self, key: &str) -> Option<Text<'a>> {
        let setting = self.settings.get(key)?;
        let atom = setting.value.atom();
        if atom.is_none() {
            let help = format!("write {key} = \"...\", without brackets");
            self.wrong_kind(setting, "a list, but should be a single value").help(help);
        }
        atom
    }

    /// The key's single value as a string of its own.
    pub(crate) fn string(&mut self, key: &str) -> Option<String> {
        self.text(key).map(|t| t.text.to_string())
    }

    /// The key's single value, if it has one: silently none if it is a list.
    pub(crate) fn text_if_single(&self, key: &str) -> Option<Text<'a>> {
        self.settings.get(key)?.value.atom()
    }

    /// The key's number.
    pub(crate) fn number(&mut self, key: &str) -> Option<i64> {
        let text = self.text(key)?;
        let setting = self.settings.get(key)?;
        if setting.appended {
            let help = format!("write {key} = ..., with the whole number");
            self.wrong_kind(setting, "a number, to which += cannot add").help(help);
            return None;
        }
        let number = number::whole(text.text, 0);
        if number.is_none() {
            let help = match text.text.to_ascii_lowercase().as_str() {
                "yes" | "true" | "on" => Some("yes is 1"),
                "no" | "false" | "off" => Some("no is 0"),
                _ => None,
            };
            let about = keys::find(key).map(|known| format!("`{key}' is a number without a unit: {}", known.about));
            let found = self.wrong_kind(setting, "not a valid number");
            if let Some(help) = help.map(str::to_string).or(about) {
                found.help(help);
            }
        }
        number
    }

    /// The key's number, if its value is one: silently none otherwise.
    pub(crate) fn number_if_one(&self, key: &str) -> Option<i64> {
        let setting = self.settings.get(key)?;
        let text = setting.value.atom()?;
        number::whole(text.text, 0).filter(|_| !setting.appended)
    }

    /// The key's yes or no: any number but 0 is yes.
    pub(crate) fn boolean(&mut self, key: &str) -> Option<bool> {
        self.number(key).map(|n| n != 0)
    }

    /// Sets a switch if the configuration does.
    pub(crate) fn set_switch(&mut self, key: &str, switch: &mut DefBool) {
        if let Some(on) = self.boolean(key) {
            *switch = on.into();
        }
    }

    /// Sets a string if the configuration does.
    pub(crate) fn set_string(&mut self, key: &str, string: &mut Option<String>) {
        if let Some(value) = self.string(key) {
            *string = Some(value);
        }
    }

    /// Sets a number if the configuration does; one that the field cannot hold is an error.
    pub(crate) fn set_number<N: TryFrom<i128>>(&mut self, key: &str, field: &mut N) {
        if let Some(number) = self.checked(key) {
            *field = number;
        }
    }

    /// The key's number; one that the type cannot hold is an error.
    pub(crate) fn checked<N: TryFrom<i128>>(&mut self, key: &str) -> Option<N> {
        let number = self.number(key)?;
        let fitting = N::try_from(number.into()).ok();
        if fitting.is_none() {
            let error = self.diagnostics.error(self.span(key), format!("{number} is out of range for `{key}'"));
            error.help(format!("the largest number here is {}", items::largest::<N>()));
        }
        fitting
    }

    /// The key's size, given in MiB, in KiB; one that cannot be is an error.
    pub(crate) fn mebibytes(&mut self, key: &str) -> Option<u64> {
        let mebibytes = self.number(key)?;
        let kibibytes = u64::try_from(mebibytes).ok().and_then(|m| m.checked_mul(1024)).filter(|k| *k < 1 << 52);
        if kibibytes.is_none() {
            let error = self.diagnostics.error(self.span(key), format!("{mebibytes} MiB is not a size"));
            error.help(format!("`{key}' is a number of MiB, from 0 on: write 1024 for 1 GiB"));
        } else if mebibytes >= 1 << 27 {
            let message = format!("`{key}' is {} TiB: sizes are in MiB", mebibytes >> 20);
            self.diagnostics.warning(self.span(key), message).help("write 1024 for 1 GiB");
        }
        kibibytes
    }

    /// The key's list.
    pub(crate) fn list(&mut self, key: &str) -> Option<&'a [Value]> {
        let setting = self.settings.get(key)?;
        let list = setting.value.list();
        if list.is_none() {
            let within = match keys::find(key).map(|known| known.shape) {
                Some(Shape::Items(item)) if item.form != ItemForm::Pairs => "[ \"...\" ], ...",
                _ => "\"...\", ...",
            };
            let help = format!("a list is in brackets: {key} = [ {within} ]");
            self.wrong_kind(setting, "a single value, but should be a list").help(help);
        }
        list
    }

    /// The key's list, if it has one: silently none if it is a single value.
    pub(crate) fn list_if_one(&self, key: &str) -> Option<&'a [Value]> {
        self.settings.get(key)?.value.list()
    }

    /// The single values at the start of the key's list. Stock xl ends the list at a list within it; what is lost so
    /// is told.
    pub(crate) fn texts(&mut self, key: &str) -> Option<Vec<Text<'a>>> {
        let list = self.list(key)?;
        Some(self.leading_texts(key, list))
    }

    /// The single values at the start of a list.
    pub(crate) fn leading_texts(&mut self, key: &str, list: &'a [Value]) -> Vec<Text<'a>> {
        let texts: Vec<_> = list.iter().map_while(Value::atom).collect();
        if let Some(value) = list.get(texts.len()) {
            let rest = list.len() - texts.len();
            let message =
                format!("`{key}' takes single values: this list and what follows it is ignored, {rest} in all");
            self.diagnostics.ignored(value.span, message);
        }
        texts
    }

    /// What the items of the key's list stand for; one that is a list itself is an error.
    pub(crate) fn each<T>(&mut self, key: &str, parse: fn(Text<'_>, &mut Diagnostics) -> Option<T>) -> Vec<T> {
        let mut found = Vec::new();
        for value in self.list(key).unwrap_or_default() {
            match value.atom() {
                Some(text) => found.extend(parse(text, self.diagnostics)),
                None => {
                    self.diagnostics.error(value.span, format!("`{key}' takes single values"));
                }
            }
        }
        found
    }

    /// The single values at the start of the key's list, as strings of their own.
    pub(crate) fn strings(&mut self, key: &str) -> Vec<String> {
        self.texts(key).unwrap_or_default().into_iter().map(|t| t.text.to_string()).collect()
    }

    /// Tells of every setting that has no effect, for the reason given or because nobody asked for it: it is unknown.
    pub(crate) fn report_unused<'k>(
        &mut self,
        known: impl Iterator<Item = &'k str> + Clone,
        without_effect: impl Fn(&Setting) -> Option<String>,
    ) {
        for setting in self.settings.iter() {
            if let Some(why) = without_effect(setting) {
                self.diagnostics.ignored(setting.name_span, why);
                continue;
            }
            if setting.used.get() {
                continue;
            }
            let shown: String = setting.name.chars().take(64).collect();
            self.diagnostics
                .ignored(setting.name_span, format!("unknown key `{shown}'"))
                .did_you_mean(&setting.name, known.clone());
        }
    }

    fn wrong_kind(&mut self, setting: &Setting, what: &str) -> &mut Diagnostic {
        let message = format!("`{}' is {what}", setting.name);
        self.diagnostics.ignored(setting.value.span, message)
    }
}
