//! A domain's memory: `mem-set`, `mem-max`.

use clap::Args;

/// `xl mem-set`.
#[derive(Args)]
pub(crate) struct MemSet {
    /// Name or number of the domain
    domain: String,
    /// The amount: MiB, or with the letter b, k, m, g or t
    size: String,
}

/// `xl mem-max`.
#[derive(Args)]
pub(crate) struct MemMax {
    /// Name or number of the domain
    domain: String,
    /// The amount: MiB, or with the letter b, k, m, g or t
    size: String,
}
