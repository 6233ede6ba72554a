//! What the small programs beside `xl` share.

pub mod inherited;
pub mod walk;
