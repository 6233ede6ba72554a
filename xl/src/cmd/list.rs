//! Domains as tables: `list`, `vm-list`, `uptime`, `claims`, `sharing`.

use crate::output::Format;
use clap::Args;

/// `xl list`.
#[derive(Args)]
pub(crate) struct List {
    /// Show each domain's whole configuration, as JSON
    #[arg(short, long)]
    long: bool,
    /// Add UUID, shutdown reason and security label
    #[arg(short, long)]
    verbose: bool,
    /// Add the security label
    #[arg(short = 'Z', long)]
    context: bool,
    /// Add the CPU pool
    #[arg(short, long)]
    cpupool: bool,
    /// Add the NUMA nodes the domain prefers
    #[arg(short, long)]
    numa: bool,
    #[command(flatten)]
    output: Format,
    /// Name, number or UUID of the one domain to show
    domain: Option<String>,
}

/// `xl vm-list`.
#[derive(Args)]
pub(crate) struct VmList {
    #[command(flatten)]
    output: Format,
}

/// `xl uptime`.
#[derive(Args)]
pub(crate) struct Uptime {
    /// Short form, with the time of day
    #[arg(short)]
    short: bool,
    #[command(flatten)]
    output: Format,
    /// Names or numbers of the domains to show
    domains: Vec<String>,
}

/// `xl claims`.
#[derive(Args)]
pub(crate) struct Claims {}

/// `xl sharing`.
#[derive(Args)]
pub(crate) struct Sharing {
    /// Name or number of the one domain to show
    domain: Option<String>,
}
