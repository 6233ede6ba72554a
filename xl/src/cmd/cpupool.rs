//! CPU pools: `cpupool-create`, `cpupool-list` and the rest of their family.

use clap::Args;
use std::path::PathBuf;

/// `xl cpupool-create`.
#[derive(Args)]
pub(crate) struct Create {
    /// Take the configuration from this file
    #[arg(short = 'f', long = "defconfig", value_name = "FILE")]
    config_file: Option<PathBuf>,
    /// Show what would be done and do nothing (the same as xl -N)
    #[arg(short = 'n', long = "dryrun")]
    dry_run: bool,
    /// The configuration file, and settings as NAME=VALUE
    arguments: Vec<String>,
}

/// `xl cpupool-list`.
#[derive(Args)]
pub(crate) struct List {
    /// Show the CPUs of each pool
    #[arg(short, long)]
    cpus: bool,
    /// Name of the one pool to show
    pool: Option<String>,
}

/// `xl cpupool-destroy`.
#[derive(Args)]
pub(crate) struct Destroy {
    /// Name or number of the pool
    pool: String,
}

/// `xl cpupool-rename`.
#[derive(Args)]
pub(crate) struct Rename {
    /// Name or number of the pool
    pool: String,
    /// Its name from now on
    new_name: String,
}

/// `xl cpupool-cpu-add`.
#[derive(Args)]
pub(crate) struct CpuAdd {
    /// Name or number of the pool
    pool: String,
    /// CPUs: a list such as 0-3,^2, or node:N
    cpus: String,
}

/// `xl cpupool-cpu-remove`.
#[derive(Args)]
pub(crate) struct CpuRemove {
    /// Name or number of the pool
    pool: String,
    /// CPUs: a list such as 0-3,^2, or node:N
    cpus: String,
}

/// `xl cpupool-migrate`.
#[derive(Args)]
pub(crate) struct Migrate {
    /// Name or number of the domain
    domain: String,
    /// Name or number of the pool
    pool: String,
}

/// `xl cpupool-numa-split`.
#[derive(Args)]
pub(crate) struct NumaSplit {}
