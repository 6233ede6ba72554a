//! `cargo lab shell`: a dom0 on this terminal.

use std::process::ExitCode;

use anyhow::Result;
use terminal_size::{Height, Width, terminal_size};

use crate::MachineOptions;
use crate::machine;
use crate::profile::Profile;
use crate::progress;
use crate::session::Lab;
use crate::workspace::Workspace;

/// Boots and gives the terminal to a root shell in dom0; leaving the shell powers the machine off.
pub(crate) fn open(workspace: &Workspace, options: &MachineOptions) -> Result<ExitCode> {
    let profile = Profile::load(workspace, &options.profile)?;
    let lab = Lab::prepare(workspace, options.program())?;
    let directories = lab.directories("shell")?;
    let (Width(columns), Height(rows)) = terminal_size().unwrap_or((Width(80), Height(24)));
    progress::say("machine: booting Xen and dom0 (`exit` or ctrl-a x ends it; /lab is shared with this machine at:");
    progress::say(&format!("  {})", directories.share.display()));
    machine::interact(&profile, lab.accelerator(&profile)?, &lab.image, &directories, (rows, columns))?;
    Ok(ExitCode::SUCCESS)
}
