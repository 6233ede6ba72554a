//! How a command fails: its exit status, and one line for the person.

use std::fmt;

/// A failed command.
#[derive(Debug)]
pub(crate) struct Failure {
    status: u8,
    /// What is said on standard error; nothing when the command has already said it all.
    message: Option<String>,
    /// Failures of the clean-up, and hints.
    notes: Vec<String>,
}

impl Failure {
    /// A failure with this exit status and text.
    pub(crate) fn new(status: u8, message: impl Into<String>) -> Failure {
        Failure { status, message: Some(message.into()), notes: Vec::new() }
    }

    /// An exit status that needs no words.
    pub(crate) fn silent(status: u8) -> Failure {
        Failure { status, message: None, notes: Vec::new() }
    }

    /// The same failure with another exit status.
    pub(crate) fn with_status(self, status: u8) -> Failure {
        Failure { status, ..self }
    }

    /// The exit status.
    pub(crate) fn status(&self) -> u8 {
        self.status
    }
}

/// Most commands of stock xl end with 1 whatever libxl returned.
impl From<libxl::Error> for Failure {
    fn from(error: libxl::Error) -> Failure {
        Failure { status: 1, message: Some(error.to_string()), notes: error.notes().to_vec() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines = self.message.iter().map(|m| format!("xl: {m}"));
        let notes = self.notes.iter().map(|n| format!("xl: note: {n}"));
        for (i, line) in lines.chain(notes).enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            f.write_str(&line)?;
        }
        Ok(())
    }
}
