//! The two forms of a configuration.

use super::diagnostic::Diagnostics;
use super::grammar::{self, Settings};
use super::source::Source;
use super::toml;
use std::path::Path;

/// How a configuration is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// As xl.cfg(5) has it.
    Cfg,
    /// In TOML.
    Toml,
}

impl Form {
    /// The form of a file, by its name: TOML if that ends in `.toml`.
    pub(crate) fn of(file: &Path) -> Form {
        if file.extension().is_some_and(|e| e == "toml") { Form::Toml } else { Form::Cfg }
    }

    /// Parses the first part of a source in this form, and what the command line adds as xl.cfg's settings.
    pub(crate) fn parse(self, source: &Source, diagnostics: &mut Diagnostics) -> Settings {
        let mut settings = Settings::default();
        match self {
            Form::Cfg => grammar::parse_from(source, 0, &mut settings, diagnostics),
            Form::Toml => {
                toml::parse(source, &mut settings, diagnostics);
                grammar::parse_from(source, source.first_part().len(), &mut settings, diagnostics);
            }
        }
        settings
    }
}
