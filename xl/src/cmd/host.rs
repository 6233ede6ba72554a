//! The host and the hypervisor: `info`, `dmesg`, `debug-keys`, `set-parameters`, `top`.

use crate::output::Format;
use clap::Args;

/// `xl info`.
#[derive(Args)]
pub(crate) struct Info {
    /// Add the CPU topology and the NUMA nodes
    #[arg(short, long)]
    numa: bool,
    #[command(flatten)]
    output: Format,
    /// Show only the values of the keys that begin like this
    key: Option<String>,
}

/// `xl dmesg`.
#[derive(Args)]
pub(crate) struct Dmesg {
    /// Empty Xen's message buffer after reading it
    #[arg(short, long)]
    clear: bool,
}

/// `xl debug-keys`.
#[derive(Args)]
pub(crate) struct DebugKeys {
    /// The keys, as on Xen's console
    keys: String,
}

/// `xl set-parameters`.
#[derive(Args)]
pub(crate) struct SetParameters {
    /// Parameters of Xen's command line, name=value
    parameters: String,
}

/// `xl top`.
#[derive(Args)]
pub(crate) struct Top {}
