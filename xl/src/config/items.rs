//! What the specifications of devices have in common: `key=value,key=value`.

use super::diagnostic::{Diagnostic, Diagnostics};
use super::keys::Shape;
use super::number;
use super::source::Text;
use libxl::types::UnknownName;
use std::str::FromStr;

/// The parameters of a specification, without the blanks before them.
pub(crate) fn tokens(spec: Text<'_>) -> impl Iterator<Item = Text<'_>> {
    spec.tokens(&[',']).map(Text::skip_spaces)
}

/// The key and value of a parameter, if the key is one of those known.
pub(crate) fn pair<'a>(
    token: Text<'a>,
    of: &str,
    known: &'static [(&'static str, Shape)],
    diagnostics: &mut Diagnostics,
) -> Option<(&'static str, Text<'a>)> {
    let (key, value) = token.split_once('=').map_or((token, None), |(key, value)| (key, Some(value)));
    let name = known.iter().map(|(name, _)| *name).find(|name| *name == key.text);
    match (name, value) {
        (Some(name), Some(value)) => return Some((name, value)),
        (Some(name), None) => {
            diagnostics.error(token.span, format!("`{name}' needs a value")).help(format!("write {name}=..."));
        }
        (None, _) => unknown(key, of, known, diagnostics),
    }
    None
}

/// The parameters of a specification up to one that is no `key=value`, where stock xl stops: what is lost so is told.
pub(crate) fn pairs_of<'a>(spec: Text<'a>, diagnostics: &mut Diagnostics) -> Vec<Text<'a>> {
    let mut found = Vec::new();
    for token in tokens(spec) {
        if !token.text.contains('=') {
            let message = format!("`{}' is no key=value: it and what follows it", token.text);
            diagnostics.ignored(token.span, message);
            break;
        }
        found.push(token);
    }
    found
}

/// Tells that a device has no such parameter.
pub(crate) fn unknown(key: Text<'_>, of: &str, known: &[(&'static str, Shape)], diagnostics: &mut Diagnostics) {
    let names = || known.iter().map(|(name, _)| *name);
    diagnostics
        .error(key.span, format!("{of} has no parameter `{}'", key.text))
        .help(format!("it has {}", names().collect::<Vec<_>>().join(", ")))
        .did_you_mean(key.text, names());
}

/// Sets a value that has names. Whether it was one of them.
pub(crate) fn choice<T>(value: Text<'_>, what: &str, field: &mut T, diagnostics: &mut Diagnostics) -> bool
where
    T: FromStr<Err = UnknownName>,
{
    match value.text.parse() {
        Ok(parsed) => {
            *field = parsed;
            true
        }
        Err(e) => {
            unknown_choice(value, what, &e, diagnostics);
            false
        }
    }
}

/// Tells that a value is none of the names there are.
pub(crate) fn unknown_choice<'d>(
    value: Text<'_>,
    what: &str,
    unknown: &UnknownName,
    diagnostics: &'d mut Diagnostics,
) -> &'d mut Diagnostic {
    // libxl's own words for nothing are read too, but nobody means them.
    let names: Vec<&str> =
        unknown.known.iter().copied().filter(|name| !["unknown", "invalid"].contains(name)).collect();
    diagnostics
        .error(value.span, format!("unknown {what} `{}'", value.text))
        .help(format!("known are {}", names.join(", ")))
}

/// Sets a number, read as C's `strtol` does: in base 0 a prefix tells of base 8 or 16, and text that is none is 0, of
/// which there is a warning. Whether the field can hold it.
pub(crate) fn number_of<N: TryFrom<i128>>(
    value: Text<'_>,
    base: u32,
    field: &mut N,
    diagnostics: &mut Diagnostics,
) -> bool {
    let number = leading(value, base, diagnostics);
    match N::try_from(number) {
        Ok(number) => {
            *field = number;
            true
        }
        Err(_) => {
            out_of_range::<N>(value, diagnostics);
            false
        }
    }
}

/// Sets a yes or no: any number but 0 is yes.
pub(crate) fn boolean_of(value: Text<'_>, base: u32, field: &mut bool, diagnostics: &mut Diagnostics) {
    *field = leading(value, base, diagnostics) != 0;
}

fn leading(value: Text<'_>, base: u32, diagnostics: &mut Diagnostics) -> i128 {
    let leading = number::leading(value.text, base);
    let number = leading.map_or(0, |n| n.value);
    if leading.is_none_or(|n| !n.rest.trim_start().is_empty()) {
        let message = format!("not a number: `{}', which is read as {number}", value.text);
        diagnostics.warning(value.span, message).help("numbers are whole; yes is 1, no is 0");
    }
    number
}

/// A decimal number at the start of a value.
pub(crate) fn decimal<N: TryFrom<i128>>(value: Text<'_>, diagnostics: &mut Diagnostics) -> Option<N> {
    let Some(number) = number::leading(value.text, 10) else {
        diagnostics.error(value.span, format!("not a number: `{}'", value.text));
        return None;
    };
    let fitting = N::try_from(number.value).ok().filter(|_| number.value >= 0);
    if fitting.is_none() {
        out_of_range::<N>(value, diagnostics);
    }
    fitting
}

/// Tells that a number is none that the type can hold.
fn out_of_range<N: TryFrom<i128>>(value: Text<'_>, diagnostics: &mut Diagnostics) {
    let error = diagnostics.error(value.span, format!("{} is out of range here", value.text));
    error.help(format!("it is a number from 0 to {}", largest::<N>()));
}

/// The largest number that an integer type of at most 64 bits holds.
pub(crate) fn largest<N: TryFrom<i128>>() -> i128 {
    (1..=64).rev().map(|bits| (1i128 << bits) - 1).find(|number| N::try_from(*number).is_ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::source::Span;
    use super::*;

    /// The number that a field of this type gets, and the first finding.
    fn read<N: TryFrom<i128> + Default>(text: &str, base: u32) -> (Option<N>, Option<String>) {
        let mut diagnostics = Diagnostics::new(false);
        let mut field = N::default();
        let right = number_of(Text::new(text, Span::default()), base, &mut field, &mut diagnostics);
        (right.then_some(field), diagnostics.iter().next().map(|found| found.message.clone()))
    }

    #[test]
    fn numbers_are_read_as_c_does_and_no_other_way_in_silence() {
        assert_eq!(read::<u8>("0x10", 0), (Some(16), None));
        assert_eq!(read::<u8>("010", 0), (Some(8), None));
        assert_eq!(read::<i32>("010", 10), (Some(10), None));
        assert_eq!(read::<i32>("0x10", 10), (Some(0), Some("not a number: `0x10', which is read as 0".into())));
        assert_eq!(read::<u8>("yes", 0), (Some(0), Some("not a number: `yes', which is read as 0".into())));
        assert_eq!(read::<u8>("256", 0), (None, Some("256 is out of range here".into())));
        assert_eq!(read::<i32>("4294967296", 10).0, None);
    }

    #[test]
    fn the_range_is_told() {
        assert_eq!((largest::<i32>(), largest::<u64>()), (i32::MAX.into(), u64::MAX.into()));
        for (text, help) in [("256", "it is a number from 0 to 255"), ("-1", "it is a number from 0 to 255")] {
            let mut diagnostics = Diagnostics::new(false);
            assert_eq!(decimal::<u8>(Text::new(text, Span::default()), &mut diagnostics), None);
            assert_eq!(diagnostics.iter().next().unwrap().help.as_deref(), Some(help));
        }
    }
}
