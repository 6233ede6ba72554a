//! The Flask security module: `getenforce`, `setenforce`, `loadpolicy`.

use clap::Args;
use std::path::PathBuf;

/// `xl getenforce`.
#[derive(Args)]
pub(crate) struct Getenforce {}

/// `xl setenforce`.
#[derive(Args)]
pub(crate) struct Setenforce {
    /// 1 or enforcing, 0 or permissive
    mode: String,
}

/// `xl loadpolicy`.
#[derive(Args)]
pub(crate) struct Loadpolicy {
    /// The compiled policy
    file: PathBuf,
}
