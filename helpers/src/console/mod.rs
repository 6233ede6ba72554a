//! What `xenconsole` is made of: the character that leaves it, the operator's terminal, and the bytes that pass between
//! the operator and the guest.

mod escape;
mod raw;
mod relay;

pub use escape::{BadEscape, Escape};
pub use raw::RawTerminal;
pub use relay::{Operator, relay};
