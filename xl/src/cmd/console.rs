//! `xl console`.

use clap::Args;

/// `xl console`.
#[derive(Args)]
pub(crate) struct Console {
    /// pv, serial or vuart; without it, the console the guest uses first
    #[arg(short = 't', value_name = "TYPE")]
    kind: Option<String>,
    /// Number of the console
    #[arg(short, value_name = "NUMBER", default_value = "0", allow_hyphen_values = true)]
    number: String,
    /// The character that leaves the console, as ^] is written
    #[arg(short, value_name = "ESCAPE")]
    escape: Option<String>,
    /// Name or number of the domain
    domain: String,
}
