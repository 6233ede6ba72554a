//! What the small programs beside `xl` share.

pub mod inherited;
pub mod input;
pub mod legacy;
pub mod log;
pub mod walk;
