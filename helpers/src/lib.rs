//! What the small programs beside `xl` share.

pub mod compressed;
pub mod console;
pub mod describe;
pub mod inherited;
pub mod input;
pub mod legacy;
pub mod log;
pub mod sandbox;
pub mod walk;
