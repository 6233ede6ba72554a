//! What is wrong with a configuration, told so that it can be put right: where, what, and what was expected.

use super::source::{Source, Span};
use std::fmt::Write;

/// libxl's `ERROR_FAIL` as an exit status, which stock xl has for some errors where it has 1 for others.
pub(crate) const FAILED: i32 = 3;

/// How many findings are kept; the rest are only counted, so that junk input cannot fill the memory.
const MAX_KEPT: usize = 100;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Severity {
    /// The configuration is used as it stands.
    Warning,
    /// The configuration is refused.
    Error,
}

/// One finding at one place.
#[derive(Clone, Debug)]
pub(crate) struct Diagnostic {
    /// How bad it is.
    pub(crate) severity: Severity,
    /// Where, if it is about a place.
    pub(crate) span: Option<Span>,
    /// What, in one line.
    pub(crate) message: String,
    /// What to do about it.
    pub(crate) help: Option<String>,
    /// The exit status that stock xl has for this error.
    pub(crate) status: i32,
    /// Whether it is only counted.
    dropped: bool,
}

impl Diagnostic {
    /// Sets the exit status of this error, which is 1 otherwise.
    pub(crate) fn status(&mut self, status: i32) -> &mut Diagnostic {
        self.status = status;
        self
    }

    /// Adds what to do.
    pub(crate) fn help(&mut self, help: impl Into<String>) -> &mut Diagnostic {
        self.help = Some(help.into());
        self
    }

    /// Adds the name that was probably meant, if there is one. It is not looked for when nobody would see it: in junk
    /// every word is unknown.
    pub(crate) fn did_you_mean<'a>(
        &mut self,
        name: &str,
        candidates: impl IntoIterator<Item = &'a str>,
    ) -> &mut Diagnostic {
        if !self.dropped
            && let Some(near) = nearest(name, candidates)
        {
            self.help = Some(format!("did you mean `{near}'?"));
        }
        self
    }
}

/// The findings of a parse, in the order they were made.
#[derive(Debug, Default)]
pub(crate) struct Diagnostics {
    kept: Vec<Diagnostic>,
    /// The latest finding that was not kept.
    last_dropped: Option<Diagnostic>,
    errors: usize,
    warnings: usize,
    strict: bool,
    creating: bool,
    of_command_line: bool,
}

impl Diagnostics {
    /// No findings yet. If `strict`, whatever would be ignored is an error.
    pub(crate) fn new(strict: bool) -> Diagnostics {
        Diagnostics { strict, ..Diagnostics::default() }
    }

    /// No findings yet, about a guest that is going to be created.
    pub(crate) fn for_creation(strict: bool) -> Diagnostics {
        Diagnostics { creating: true, ..Diagnostics::new(strict) }
    }

    /// No findings yet, about a device on a command line: a typing mistake there is an error, where a file's may be left
    /// out.
    pub(crate) fn for_command_line() -> Diagnostics {
        Diagnostics { of_command_line: true, ..Diagnostics::new(true) }
    }

    /// Records an error at a place.
    pub(crate) fn error(&mut self, span: Span, message: impl Into<String>) -> &mut Diagnostic {
        self.push(Severity::Error, Some(span), message.into())
    }

    /// Records an error about the configuration as a whole.
    pub(crate) fn error_overall(&mut self, message: impl Into<String>) -> &mut Diagnostic {
        self.push(Severity::Error, None, message.into())
    }

    /// Records a warning at a place.
    pub(crate) fn warning(&mut self, span: Span, message: impl Into<String>) -> &mut Diagnostic {
        self.push(Severity::Warning, Some(span), message.into())
    }

    /// Records something wrong that is left out: a warning that says so, but an error if strict.
    pub(crate) fn ignored(&mut self, span: Span, message: impl Into<String>) -> &mut Diagnostic {
        match self.strict {
            true => self.error(span, message),
            false => self.warning(span, format!("{}: ignored", message.into())),
        }
    }

    /// Records something right that nothing uses: a warning that says so, but an error in a configuration if strict.
    pub(crate) fn without_effect(&mut self, span: Span, message: impl Into<String>) -> &mut Diagnostic {
        match self.of_command_line {
            true => self.warning(span, message),
            false => self.ignored(span, message),
        }
    }

    /// Records something right that is done, though nothing will come of it here: a warning, but an error in a
    /// configuration if strict.
    pub(crate) fn in_vain(&mut self, span: Span, message: impl Into<String>) -> &mut Diagnostic {
        match self.strict && !self.of_command_line {
            true => self.error(span, message),
            false => self.warning(span, message),
        }
    }

    /// Records something right that this host or its Xen cannot do, and without which the guest would not be the one
    /// that was asked for: an error where it is going to be created, and left out where it is only shown.
    pub(crate) fn not_here(&mut self, span: Span, message: impl Into<String>) -> &mut Diagnostic {
        match self.creating {
            true => self.error(span, message),
            false => self.ignored(span, message),
        }
    }

    fn push(&mut self, severity: Severity, span: Option<Span>, message: String) -> &mut Diagnostic {
        let count = match severity {
            Severity::Error => &mut self.errors,
            Severity::Warning => &mut self.warnings,
        };
        *count += 1;
        let dropped = *count > MAX_KEPT;
        let diagnostic = Diagnostic { severity, span, message, help: None, status: 1, dropped };
        if dropped {
            return self.last_dropped.insert(diagnostic);
        }
        self.kept.push(diagnostic);
        let last = self.kept.len() - 1;
        &mut self.kept[last]
    }

    /// The findings, but at most a hundred of each severity.
    #[cfg(test)]
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Diagnostic> {
        self.kept.iter()
    }

    /// Whether a further error would only be counted, so that nobody has to look for words about it.
    pub(crate) fn is_full(&self) -> bool {
        self.errors >= MAX_KEPT
    }

    /// Whether the configuration is refused.
    pub(crate) fn has_errors(&self) -> bool {
        self.errors > 0
    }

    /// The exit status: 0, or that of the first error.
    pub(crate) fn exit_status(&self) -> i32 {
        self.kept.iter().find(|d| d.severity == Severity::Error).map_or(0, |d| d.status)
    }

    /// The findings as text for standard error, each with its line and a caret under the place.
    pub(crate) fn render(&self, source: &Source) -> String {
        let mut out = String::new();
        let mut in_order: Vec<&Diagnostic> = self.kept.iter().collect();
        in_order.sort_by_key(|d| d.span.map(|s| s.start));
        in_order.iter().for_each(|diagnostic| diagnostic.render(source, &mut out));
        let dropped = self.errors + self.warnings - self.kept.len();
        if dropped > 0 {
            let _ = writeln!(out, "{}: and {dropped} more", source.name());
        }
        out
    }
}

/// Longer lines are shown in part, around the place.
const MAX_LINE: usize = 160;

impl Diagnostic {
    /// `file:line:column: error: message`, the line, a caret, and the help.
    fn render(&self, source: &Source, out: &mut String) {
        let severity = match self.severity {
            Severity::Warning => "warning",
            Severity::Error => "error",
        };
        // What is quoted may be anything.
        let message: String = self.message.chars().map(printable).collect();
        let Some(span) = self.span else {
            let _ = writeln!(out, "{}: {severity}: {message}", source.name());
            self.render_help("", out);
            return;
        };
        let at = source.locate(span.start);
        let _ = writeln!(out, "{}:{}:{}: {severity}: {message}", at.name, at.line, at.column);
        let number = at.line.to_string();
        let margin = " ".repeat(number.len());

        let first = (at.column - 1).saturating_sub(MAX_LINE / 2);
        let shown: String = at.text.chars().skip(first).take(MAX_LINE).map(printable).collect();
        let caret_at = (at.column - 1 - first).min(shown.chars().count());
        let width = source.slice(span).lines().next().unwrap_or_default().chars().count();
        let width = width.min(shown.chars().count() - caret_at).max(1);
        let _ = writeln!(out, " {number} | {shown}");
        let _ = writeln!(out, " {margin} | {}{}", " ".repeat(caret_at), "^".repeat(width));
        self.render_help(&format!(" {margin} "), out);
    }

    fn render_help(&self, margin: &str, out: &mut String) {
        if let Some(help) = &self.help {
            let help: String = help.chars().map(printable).collect();
            let _ = writeln!(out, "{margin}= {help}");
        }
    }
}

/// A character of what somebody else wrote: control characters would move the caret or change the terminal's state.
pub(crate) fn printable(c: char) -> char {
    match c {
        '\t' => ' ',
        c if c.is_control() => '\u{fffd}',
        c => c,
    }
}

/// The candidate that is nearest to a mistyped name, if one is near enough to be meant.
fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if name.len() > 64 {
        return None;
    }
    let name = name.to_lowercase();
    let length = name.chars().count();
    let allowed = (length / 3).clamp(1, 3);
    candidates
        .into_iter()
        .filter(|candidate| candidate.len().abs_diff(length) <= allowed)
        .map(|candidate| (strsim::osa_distance(&name, candidate), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_the_line_and_a_caret_under_the_place() {
        let source = Source::new("a.cfg", b"name=\"a\"\nmemroy=64\n");
        let mut diagnostics = Diagnostics::new(false);
        diagnostics.warning(Span::new(9, 15), "unknown key `memroy'").help("did you mean `memory'?");
        assert_eq!(
            diagnostics.render(&source),
            "a.cfg:2:1: warning: unknown key `memroy'\n 2 | memroy=64\n   | ^^^^^^\n   = did you mean `memory'?\n"
        );
        assert_eq!(diagnostics.exit_status(), 0);
    }

    #[test]
    fn first_error_gives_the_status_even_after_many_warnings() {
        let mut diagnostics = Diagnostics::new(false);
        for _ in 0..1000 {
            diagnostics.warning(Span::default(), "w");
        }
        diagnostics.error(Span::default(), "pci").status(6);
        diagnostics.error(Span::default(), "other");
        assert_eq!(diagnostics.exit_status(), 6);
        assert!(diagnostics.render(&Source::new("x", b"")).ends_with("x: and 900 more\n"));
    }

    #[test]
    fn strict_makes_ignored_things_errors() {
        let mut diagnostics = Diagnostics::new(true);
        diagnostics.ignored(Span::default(), "unknown key");
        assert!(diagnostics.has_errors());
        let all = || [Diagnostics::new(true), Diagnostics::new(false), Diagnostics::for_command_line()];
        let without_effect = |mut diagnostics: Diagnostics| {
            diagnostics.without_effect(Span::default(), "no effect");
            diagnostics.has_errors()
        };
        assert_eq!(all().map(without_effect), [true, false, false]);
        let in_vain = |mut diagnostics: Diagnostics| {
            diagnostics.in_vain(Span::default(), "nobody finds it");
            (diagnostics.has_errors(), diagnostics.iter().count())
        };
        assert_eq!(all().map(in_vain), [(true, 1), (false, 1), (false, 1)]);
    }

    #[test]
    fn long_and_odd_lines_are_cut_around_the_place() {
        let mut line = vec![b'x'; 10_000];
        line[5_000] = 0x1b;
        let source = Source::new("a", &line);
        let mut diagnostics = Diagnostics::new(false);
        diagnostics.error(Span::new(5_000, 5_001), "control character");
        let text = diagnostics.render(&source);
        assert!(text.lines().all(|l| l.len() < 200) && !text.contains('\x1b'), "{text}");
    }

    #[test]
    fn nearest_name_is_near() {
        let keys = ["memory", "maxmem", "name", "vif", "vnc"];
        assert_eq!(nearest("memroy", keys), Some("memory"));
        assert_eq!(nearest("Name", keys), Some("name"));
        assert_eq!(nearest("bridge", keys), None);
        assert_eq!(nearest(&"m".repeat(1_000_000), keys), None);
    }
}
