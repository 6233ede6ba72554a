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

/// Sets a number, written as C writes it; text that is none is 0, as `strtoul` has it. Whether the field can hold it.
pub(crate) fn number_of<N: TryFrom<i128>>(value: Text<'_>, field: &mut N, diagnostics: &mut Diagnostics) -> bool {
    let leading = number::leading(value.text, 0);
    let number = leading.map_or(0, |n| n.value);
    if leading.is_none_or(|n| !n.rest.is_empty()) {
        let message = format!("not a number: `{}', which is read as {number}", value.text);
        diagnostics.warning(value.span, message);
    }
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

/// A decimal number at the start of a value.
pub(crate) fn decimal<N: TryFrom<i128>>(value: Text<'_>, diagnostics: &mut Diagnostics) -> Option<N> {
    let Some(number) = number::leading(value.text, 10) else {
        diagnostics.error(value.span, format!("not a number: `{}'", value.text));
        return None;
    };
    let fitting = N::try_from(number.value).ok();
    if fitting.is_none() {
        out_of_range::<N>(value, diagnostics);
    }
    fitting
}

/// Tells that a number is none that the type can hold.
pub(crate) fn out_of_range<N: TryFrom<i128>>(value: Text<'_>, diagnostics: &mut Diagnostics) {
    let largest = (1..64).rev().map(|bits| (1i128 << bits) - 1).find(|number| N::try_from(*number).is_ok());
    let found = diagnostics.error(value.span, format!("{} is out of range here", value.text));
    if let Some(largest) = largest {
        let least = if N::try_from(-1).is_ok() { -largest - 1 } else { 0 };
        found.help(format!("it is a number from {least} to {largest}"));
    }
}

/// Sets a yes or no: any number but 0 is yes.
pub(crate) fn boolean_of(value: Text<'_>, field: &mut bool) {
    *field = number::leading(value.text, 0).is_some_and(|n| n.value != 0);
}
