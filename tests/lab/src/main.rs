//! `cargo lab`: real Xen under QEMU, for the demonstration, the tests and the measurements of the toolstack.

mod accel;
mod apt;
mod bench;
mod case;
mod cases;
mod demo;
mod image;
mod machine;
mod process;
mod profile;
mod progress;
mod session;
mod setup;
mod shell;
mod stage;
mod test;
mod workspace;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use crate::session::Program;
use crate::workspace::Workspace;

/// Real Xen 4.17, its daemons and a Debian dom0 under QEMU, with this tree's xl installed in it.
#[derive(Parser)]
#[command(name = "cargo lab", bin_name = "cargo lab", disable_help_subcommand = true)]
enum Command {
    /// Show the main job: our xl looks at the host, creates, watches and ends a PV and a PVH Linux guest.
    Demo {
        /// Let stock xl stand in for this tree's.
        #[arg(long)]
        stock: bool,
    },
    /// Run every test: fmt, clippy, unit and doc tests, then the cases of tests/lab/cases in dom0.
    Test {
        /// Only what has this in its name: "fmt", "clippy", "unit", "doc", "case NAME" ("case": all cases).
        #[arg(default_value = "")]
        filter: String,
        /// Let stock xl stand in for this tree's: shows that the cases hold for the reference.
        #[arg(long)]
        stock: bool,
        /// Give the cases ten times as long: those that do something again and again do it as often as they want to.
        #[arg(long)]
        long: bool,
    },
    /// Boot, run a shell script in dom0 as root, print what it prints and exit as it does.
    Run {
        /// The script, on this machine.
        script: PathBuf,
        #[command(flatten)]
        machine: MachineOptions,
        /// Give up after so many seconds.
        #[arg(long, default_value_t = 600)]
        timeout: u64,
    },
    /// Boot and open a root shell in dom0, with this tree's xl and stock xl (`stockxl`) installed.
    Shell {
        #[command(flatten)]
        machine: MachineOptions,
    },
    /// Compare our xl's speed with stock xl's, in one boot, and write docs/performance.md.
    Bench,
    /// Install the packages and make dom0, nothing else: the part that needs root.
    Setup,
    /// Put the tree as installed on a host (prefix /usr/local) under a directory.
    Stage {
        /// The directory; it is made if need be.
        dir: PathBuf,
    },
}

/// What kind of machine to boot, and whose xl to call `xl` in it.
#[derive(clap::Args)]
struct MachineOptions {
    /// Machine profile: a file of tests/lab/profiles, without ".toml".
    #[arg(long, default_value = "default")]
    profile: String,
    /// Let stock xl stand in for this tree's: shows what the reference does.
    #[arg(long)]
    stock: bool,
}

impl MachineOptions {
    fn program(&self) -> Program {
        program(self.stock)
    }
}

fn program(stock: bool) -> Program {
    if stock { Program::Stock } else { Program::Ours(stage::Build::Quick) }
}

fn main() -> ExitCode {
    match dispatch(Command::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("cargo lab: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(command: Command) -> anyhow::Result<ExitCode> {
    let workspace = Workspace::find()?;
    match command {
        Command::Demo { stock } => demo::show(&workspace, program(stock)),
        Command::Test { filter, stock, long } => test::run(&workspace, &filter, program(stock), long),
        Command::Run { script, machine, timeout } => session::run_script(&workspace, &script, &machine, timeout),
        Command::Shell { machine } => shell::open(&workspace, &machine),
        Command::Bench => bench::run(&workspace),
        Command::Setup => session::Lab::prepare(&workspace, Program::Stock).map(|_| ExitCode::SUCCESS),
        Command::Stage { dir } => stage::stage(&workspace, &dir).map(|()| ExitCode::SUCCESS),
    }
}
