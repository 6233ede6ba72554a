//! `xl gc`: finds and removes what processes that crashed have left behind.

use crate::cli::Run;
use crate::failure::Failure;
use crate::output;
use crate::session::Session;
use clap::Args;
use libxl::gc;

/// `xl gc`.
#[derive(Args)]
pub(crate) struct Gc {
    /// Show what would be removed, and remove nothing (the same as xl -N)
    #[arg(short = 'n', long = "dryrun")]
    dry_run: bool,
}

impl Run for Gc {
    fn run(self, session: &Session) -> Result<(), Failure> {
        let dry_run = self.dry_run || session.globals.dry_run;
        let mut failed = 0;
        for leftover in gc::find(&session.ctx)? {
            output::print(&format!("{leftover}\n"))?;
            if !dry_run && let Err(e) = leftover.remove(&session.ctx) {
                output::complain(&Failure::from(e.context("removing it")));
                failed += 1;
            }
        }
        match failed {
            0 => Ok(()),
            _ => Err(Failure::silent(1)),
        }
    }
}
