//! `xen-init-dom0 [UUID]`: gives domain 0 what the toolstack gives every other domain. Run once when the host
//! starts, after xenstored.

use clap::Parser;
use libxl::host::domain0;
use libxl::{Ctx, Paths};
use std::path::Path;
use std::process::ExitCode;
use uuid::Uuid;

/// Set up domain 0: its UUID, name and stored configuration
#[derive(Parser)]
#[command(name = "xen-init-dom0", version)]
struct Options {
    /// The UUID of domain 0
    uuid: Option<Uuid>,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let paths = Paths::installed(Path::new("/usr/local")).with_environment(|name| std::env::var_os(name));
    match domain0::set_up(&Ctx::new(paths), options.uuid.filter(|uuid| !uuid.is_nil())) {
        Ok(true) => println!("Done setting up Dom0"),
        Ok(false) => eprintln!("Dom0 is already set up"),
        Err(e) => {
            eprintln!("xen-init-dom0: {e}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
