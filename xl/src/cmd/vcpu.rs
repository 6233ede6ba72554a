//! Virtual CPUs: `vcpu-list`, `vcpu-pin`, `vcpu-set`.

use crate::output::Format;
use clap::Args;

/// `xl vcpu-list`.
#[derive(Args)]
pub(crate) struct VcpuList {
    #[command(flatten)]
    output: Format,
    /// Names or numbers of the domains to show
    domains: Vec<String>,
}

/// `xl vcpu-pin`.
#[derive(Args)]
pub(crate) struct VcpuPin {
    /// Undo a pinning that the kernel of the domain made
    #[arg(short, long)]
    force: bool,
    /// Do not apply the masks of xl.conf
    #[arg(short, long)]
    ignore_global_affinity_masks: bool,
    /// Name or number of the domain
    domain: String,
    /// Number of the vCPU, or all
    vcpu: String,
    /// The CPUs it may run on: a list such as 0-3,^2, or all, or - to leave them
    hard: String,
    /// The CPUs it prefers, likewise
    soft: Option<String>,
}

/// `xl vcpu-set`.
#[derive(Args)]
pub(crate) struct VcpuSet {
    /// Allow more vCPUs than the host has CPUs
    #[arg(short, long)]
    ignore_host: bool,
    /// Name or number of the domain
    domain: String,
    /// How many vCPUs it may use
    vcpus: String,
}
