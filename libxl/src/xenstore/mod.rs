//! xenstore: the database that domains, devices and the toolstack share.
//!
//! [`Client`] speaks xenstored's protocol over its socket or the kernel's xenbus device, behind the
//! traits of `xenstore-rs` ([`Xs`], [`XsTransaction`], [`XsTransactionSpan`]). [`Store`] adds what
//! these lack: byte-exact values, permissions, long listings, and [`Batch`]: many requests in one
//! wait. [`Client::transaction`] retries on conflict; [`Client::watch`] tells of changes.

mod batch;
mod client;
mod connection;
#[cfg(test)]
pub(crate) mod fake;
mod perms;
pub mod schema;
mod store;
#[cfg(test)]
mod tests;
mod transaction;
mod watch;
mod wire;

pub use batch::Batch;
pub use client::Client;
pub use connection::{Refused, Stats, errno};
pub use perms::{Access, BadPerms, Perms};
pub use store::{Store, optional};
pub use transaction::Transaction;
pub use watch::Watch;
pub use wire::{ABS_PATH_MAX, PAYLOAD_MAX, REL_PATH_MAX, check_path};
pub use xenstore_rs::{Xs, XsTransaction, XsTransactionSpan};

use wire::HEADER_LEN;
