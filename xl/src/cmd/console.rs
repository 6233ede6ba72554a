//! `xl console`.

use crate::cli::Run;
use crate::failure::Failure;
use crate::session::Session;
use clap::Args;
use libxc::DomId;
use libxl::domain::attach::{self, Console as Target};
use libxl::types::ConsoleType;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use std::io::Read;
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};

/// `xl console`.
#[derive(Args)]
pub(crate) struct Console {
    /// pv, serial or vuart; without it, the console the guest uses first
    #[arg(short = 't', value_name = "TYPE")]
    kind: Option<String>,
    /// Number of the console
    #[arg(short, value_name = "NUMBER", default_value = "0", value_parser = number, allow_hyphen_values = true)]
    number: u32,
    /// The character that leaves the console, as ^] is written
    #[arg(short, value_name = "ESCAPE", allow_hyphen_values = true)]
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
        let mut command = command(session, console, self.escape.as_deref());
        let failed = command.exec();
        Err(Failure::new(1, format!("starting {}: {}", command.get_program().display(), libxc::reason(&failed))))
    }
}

/// Attaches this terminal to the console that a new domain uses first, in a process of its own, and returns when
/// it is connected: the domain can be let run without any of its output being lost.
pub(crate) fn connect(session: &Session, domid: DomId) -> Result<Child, Failure> {
    let mut command = command(session, attach::primary(&session.ctx, domid)?, None);
    let failed =
        |e: std::io::Error| Failure::new(1, format!("connecting the console of domain {domid}: {}", libxc::reason(&e)));
    let (mut connected, notify) = std::io::pipe().map_err(failed)?;
    // This end is for the console's program, under the same number.
    fcntl(&notify, FcntlArg::F_SETFD(FdFlag::empty())).map_err(|e| failed(e.into()))?;
    let console = command.arg("--start-notify-fd").arg(notify.as_raw_fd().to_string()).spawn().map_err(failed)?;
    drop(notify);
    // If it ends without a word, then it has said why on standard error.
    connected.read(&mut [0]).map_err(failed)?;
    Ok(console)
}

fn command(session: &Session, console: Target, escape: Option<&str>) -> Command {
    let mut command = Command::new(&session.ctx.paths.console);
    command.args(attach::arguments(console, escape));
    command
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
