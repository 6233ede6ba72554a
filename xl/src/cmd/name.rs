//! Names and numbers of domains: `domid`, `domname`, `rename`.

use clap::Args;

/// `xl domid`.
#[derive(Args)]
pub(crate) struct Domid {
    /// The domain's name
    name: String,
}

/// `xl domname`.
#[derive(Args)]
pub(crate) struct Domname {
    /// The domain's number
    domid: String,
}

/// `xl rename`.
#[derive(Args)]
pub(crate) struct Rename {
    /// Name or number of the domain
    domain: String,
    /// Its name from now on
    new_name: String,
}
