//! Domains: their birth, life and end.
//!
//! [`create()`] and [`destroy()`] tell the story in steps; [`nodes`], [`death`] and the other pure
//! modules say what each step writes or decides.

pub mod attach;
mod backends;
pub mod balloon;
mod build;
pub mod configuration;
mod console;
pub mod control;
pub mod coredump;
pub mod create;
pub mod death;
mod destroy;
pub(crate) mod devices;
mod host_io;
pub mod info;
mod make;
pub mod memory;
pub mod monitor;
pub mod name;
pub mod nodes;
mod platform;
mod preflight;
pub mod remus;
pub mod restore;
pub mod save;
pub mod sched;
pub mod shutdown;
pub mod suspend;
pub mod tty;
mod undo;
pub mod vcpu;
pub mod vnc;

pub use create::{Options, create};
pub use destroy::destroy;
pub use make::{ANY_DOMID, RANDOM_DOMID};
pub use preflight::check_configuration;
pub use restore::restore;
pub use save::save;
