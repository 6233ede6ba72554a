//! `xl schema`: the keys that a guest's configuration can have, for editors.

use crate::cli::Run;
use crate::config::{keys, schema};
use crate::failure::Failure;
use crate::output;
use crate::session::Session;
use clap::Args;

/// `xl schema`.
#[derive(Args)]
pub(crate) struct Schema {
    /// Only this key
    key: Option<String>,
}

impl Run for Schema {
    fn run(self, _: &Session) -> Result<(), Failure> {
        let Some(name) = self.key else { return output::print_json(&schema::guest()) };
        match keys::find(&name) {
            Some(key) => output::print_json(&schema::of_key(key)),
            None => Err(Failure::new(1, format!("schema: there is no key '{name}' (xl schema lists those there are)"))),
        }
    }
}
