//! Domains: their birth, life and end.

pub mod attach;
pub mod balloon;
pub mod control;
pub mod info;
pub mod shutdown;
pub mod vcpu;
