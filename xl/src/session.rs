//! What one run of `xl` has at hand: its own options and the toolstack.

use crate::cli::Globals;
use libxl::{Ctx, paths::Paths};
use std::path::Path;

/// One run of the program.
pub(crate) struct Session {
    /// xl's own options.
    pub(crate) globals: Globals,
    /// The toolstack.
    pub(crate) ctx: Ctx,
}

impl Session {
    /// A run with these options. Nothing is opened yet.
    pub(crate) fn new(globals: Globals) -> Session {
        let paths = Paths::installed(Path::new("/usr")).with_environment(|name| std::env::var_os(name));
        Session { globals, ctx: Ctx::new(paths) }
    }
}
