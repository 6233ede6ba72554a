//! Core files of domains.

pub mod layout;
