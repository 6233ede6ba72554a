//! What is made from the table of subcommands for other programs: completion scripts of shells, the manual page.

use crate::cli::{self, Run};
use crate::failure::Failure;
use crate::output::{self, manual};
use crate::session::Session;
use clap::Args;
use clap_complete::Shell;

/// `xl completions`.
#[derive(Args)]
pub(crate) struct Completions {
    /// The shell
    shell: Shell,
}

impl Run for Completions {
    fn run(self, _: &Session) -> Result<(), Failure> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut cli::tree(), "xl", &mut script);
        output::print_bytes(&script)
    }
}

/// `xl manual`.
#[derive(Args)]
pub(crate) struct Manual {}

impl Run for Manual {
    fn run(self, _: &Session) -> Result<(), Failure> {
        output::print(&manual::page(&mut cli::tree()))
    }
}
