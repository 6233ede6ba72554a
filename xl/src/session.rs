//! What one run of `xl` has at hand: its own options and the toolstack.

use crate::cli::Globals;

/// One run of the program.
pub(crate) struct Session {
    /// xl's own options.
    pub(crate) globals: Globals,
}

impl Session {
    /// A run with these options. Nothing is opened yet.
    pub(crate) fn new(globals: Globals) -> Session {
        Session { globals }
    }
}
