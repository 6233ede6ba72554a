//! `cargo lab demo`: the main job in the terminal, from nothing to guests that came and went.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::profile::Profile;
use crate::progress::{self, clock};
use crate::session::{Lab, Program, copy_files, follow, write_main};
use crate::workspace::Workspace;

/// The demonstration itself takes about a minute in software emulation.
const LIMIT: Duration = Duration::from_secs(240);

/// Sets everything up, boots, and runs tests/lab/demo/demo.sh in dom0.
pub(crate) fn show(workspace: &Workspace, program: Program) -> Result<ExitCode> {
    let started = Instant::now();
    progress::say("Xen 4.17 and a Debian dom0 will run under QEMU; the first time takes some minutes");
    let lab = Lab::prepare(workspace, program)?;
    let directories = lab.directories("demo")?;
    copy_files(&workspace.lab().join("demo"), &directories.share.join("demo"))?;
    write_main(&directories.share, "#!/bin/sh\nexec sh /lab/demo/demo.sh\n")?;
    progress::say("machine: booting Xen and dom0 (about 20 seconds)");
    let mut machine = lab.boot(&Profile::default(), &directories, LIMIT)?;
    let status = follow(&mut machine, &directories, |_, _| {})?;
    println!();
    progress::say(&format!("the demonstration ended with status {status}, after {}", clock(started.elapsed())));
    Ok(ExitCode::from(status))
}
