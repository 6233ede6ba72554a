//! `xl`: runs Xen guests.

mod autoballoon;
mod cli;
mod cmd;
mod config;
mod daemon;
mod failure;
mod guard;
mod handover;
mod log;
mod monitor;
mod output;
mod pidfile;
mod saved;
mod saved_file;
mod session;
mod transport;

use cli::Call;
use failure::Failure;
use session::Session;
use std::process::ExitCode;

fn main() -> ExitCode {
    match run() {
        Ok(status) => ExitCode::from(status),
        Err(failure) => {
            output::complain(&failure);
            ExitCode::from(failure.status())
        }
    }
}

/// Does what the command line says, and returns the exit status.
fn run() -> Result<u8, Failure> {
    if let Some((domid, name)) = monitor::ended(std::env::args_os()) {
        return monitor::run(domid, &name).map(|()| 0);
    }
    if let Some(pidfile) = cmd::devd::asked_for(std::env::args_os()) {
        return cmd::devd::run_in_background(pidfile.as_deref()).map(|()| 0);
    }
    if let Some(guarded) = guard::asked_for(std::env::args_os()) {
        return guard::run(guarded).map(|()| 0);
    }
    match cli::parse(std::env::args_os())? {
        Call::Print(text, status) => output::print(&text).map(|()| status),
        Call::Run(globals, subcommand, matches) => {
            log::init(&globals);
            subcommand.run(&Session::new(globals), &matches).map(|()| 0)
        }
    }
}
