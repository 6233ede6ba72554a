//! `xl console`.

use crate::cli::Run;
use crate::failure::Failure;
use crate::session::Session;
use clap::Args;
use libxl::domain::attach::{self, Console as Target};
use libxl::types::ConsoleType;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// `xl console`.
#[derive(Args)]
pub(crate) struct Console {
    /// pv, serial or vuart; without it, the console the guest uses first
    #[arg(short = 't', value_name = "TYPE")]
    kind: Option<String>,
    /// Number of the console
    #[arg(short, value_name = "NUMBER", default_value = "0", value_parser = number, allow_hyphen_values = true)]
    number: u32,
    /// The character that leaves the console, as ^] is written (with xenconsole of Xen 4.19 and later)
    #[arg(short, value_name = "ESCAPE")]
    escape: Option<String>,
    /// Name or number of the domain
    domain: String,
}

impl Run for Console {
    fn run(self, session: &Session) -> Result<(), Failure> {
        let kind = self.kind.as_deref().map(kind).transpose()?;
        let domid = session.domain(&self.domain)?;
        let console = match kind {
            None => attach::primary(&session.ctx, domid)?,
            Some(kind) => Target { domid, number: self.number, kind },
        };
        let candidates = attach::programs(&session.ctx.paths.libexec_bin);
        let program = attach::program(&candidates)?;
        let failed = Command::new(program).args(attach::arguments(console, self.escape.as_deref())).exec();
        Err(Failure::new(1, format!("starting {}: {failed}", program.display())))
    }
}

fn kind(word: &str) -> Result<ConsoleType, Failure> {
    match word {
        "pv" => Ok(ConsoleType::Pv),
        "serial" => Ok(ConsoleType::Serial),
        "vuart" => Ok(ConsoleType::Vuart),
        _ => Err(Failure::new(1, format!("there is no console of type \"{word}\": pv, serial or vuart"))),
    }
}

fn number(text: &str) -> Result<u32, String> {
    text.parse().map_err(|_| "no number of a console".to_string())
}
