//! `xl remus`: a guest's copy on another host, ready to take over. `xl migrate-receive -r` is at the other end.

use crate::cli::Run;
use crate::failure::Failure;
use crate::guard::Guard;
use crate::handover::BANNER;
use crate::output::progress::Progress;
use crate::output::say;
use crate::saved::{self, Taken};
use crate::session::Session;
use crate::transport::Transport;
use clap::Args;
use libxl::domain::remus::{self, replicate};
use libxl::domain::suspend::Hold;
use libxl::error::ResultExt;
use std::fs::File;
use std::os::fd::AsFd;
use std::time::Duration;

/// How long the guest runs between two checkpoints if nothing else is said, ms.
const INTERVAL: u32 = 200;

/// `xl remus`.
#[derive(Args)]
pub(crate) struct Remus {
    /// Checkpoint every MS milliseconds (200)
    #[arg(short = 'i', value_name = "MS", default_value_t = INTERVAL, hide_default_value = true)]
    interval: u32,
    /// Accepted: checkpoints are not compressed
    #[arg(short = 'u')]
    uncompressed: bool,
    /// Use this instead of ssh; if empty, run the host argument itself
    #[arg(short = 's', value_name = "COMMAND", default_value = "ssh")]
    transport: String,
    /// Set up network buffering with this
    #[arg(short = 'N', value_name = "SCRIPT")]
    netbufscript: Option<String>,
    /// Do not wait in the background, there, for the death of the domain
    #[arg(short = 'e')]
    no_monitor: bool,
    /// Allow what is unsafe: -b, -n and -d
    #[arg(short = 'F')]
    allow_unsafe: bool,
    /// Throw the checkpoints away (unsafe)
    #[arg(short = 'b')]
    blackhole: bool,
    /// Do not buffer the network (unsafe)
    #[arg(short = 'n')]
    no_network: bool,
    /// Do not replicate disks (unsafe)
    #[arg(short = 'd')]
    no_disks: bool,
    /// COLO instead of checkpoints
    #[arg(short = 'c')]
    colo: bool,
    /// Use COLO's proxy in user space
    #[arg(short = 'p')]
    userspace_colo_proxy: bool,
    /// Name or number of the domain
    #[arg(value_name = "Domain")]
    domain: String,
    /// The host of the copy
    #[arg(required_unless_present = "blackhole")]
    host: Option<String>,
}

impl Run for Remus {
    fn run(self, session: &Session) -> Result<(), Failure> {
        if self.colo || self.userspace_colo_proxy {
            return Err(Failure::new(1, "COLO (-c, -p) is not built yet"));
        }
        if self.netbufscript.is_some() {
            return Err(Failure::new(1, "buffering the network (-N) is not built yet; -n does without"));
        }
        let domid = session.domain(&self.domain)?;
        let hold = Hold::of(&session.ctx, domid)?;
        let options = self.options();
        remus::check(&session.ctx, domid, &options).context("Remus")?;
        let ended = match &self.host {
            Some(host) if !self.blackhole => self.to_host(session, &hold, &options, host)?,
            _ => blackhole(session, &hold, &options)?,
        };
        if session.ctx.xc()?.domain(domid).map_err(libxl::Error::from)?.is_none() {
            say(format_args!("Remus: Primary domain has been destroyed."));
            return Ok(());
        }
        Err(ended.context("Remus").into())
    }
}

impl Remus {
    fn options(&self) -> remus::Remus {
        let interval = if self.interval == 0 { INTERVAL } else { self.interval };
        remus::Remus {
            interval: Duration::from_millis(interval.into()),
            network: !self.no_network,
            disks: !self.no_disks,
            blackhole: self.blackhole,
            allow_unsafe: self.allow_unsafe,
        }
    }

    /// Keeps the copy on a host up to date, and returns what ended that.
    fn to_host(
        &self,
        session: &Session,
        hold: &Hold,
        options: &remus::Remus,
        host: &str,
    ) -> Result<libxl::Error, Failure> {
        let config = saved::config(session, hold.domid(), &Taken { file: None, keep_domid: false })?;
        let guard = Guard::of_held(hold)?;
        // ^C must not end it before this process has stopped the guest, as its copy runs then.
        let mut transport = Transport::start(&format!("trap '' INT HUP; {}", self.rune(host)))?;
        let session = session.cancellable()?;
        let mut line = transport.line(&session.ctx)?;
        let begun = line.expect(BANNER).map_err(Failure::from);
        if let Err(failure) = begun.and_then(|()| saved::write(&line.to, "migration stream", &config, false)) {
            transport.stop();
            return Err(failure);
        }
        let mut progress = Progress::new(&session.globals);
        let mut show = |what: &str, done, total| progress.show(what, done, total);
        let ended = replicate(&session.ctx, hold, line.to.as_fd(), options, &mut || guard.copied(), &mut show);
        drop(line);
        transport.end();
        Ok(ended)
    }

    /// The shell command that runs the receiver, byte for byte stock xl's.
    fn rune(&self, host: &str) -> String {
        match self.transport.as_str() {
            "" => host.into(),
            ssh => format!("exec {ssh} {host} xl migrate-receive -r {}", if self.no_monitor { " -e" } else { "" }),
        }
    }
}

/// Takes checkpoints for nobody, and returns what ended that.
fn blackhole(session: &Session, hold: &Hold, options: &remus::Remus) -> Result<libxl::Error, Failure> {
    let nowhere = File::options().write(true).open("/dev/null").map_err(libxl::Error::from).context("/dev/null")?;
    let session = session.cancellable()?;
    let mut progress = Progress::new(&session.globals);
    let mut show = |what: &str, done, total| progress.show(what, done, total);
    let guard = Guard::of_held(hold)?;
    let ended = replicate(&session.ctx, hold, nowhere.as_fd(), options, &mut || {}, &mut show);
    drop(guard);
    Ok(ended)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{Command, FromArgMatches};

    fn parsed(line: &str) -> Result<Remus, clap::Error> {
        let parser = Remus::augment_args(Command::new("remus").no_binary_name(true));
        let words = line.split_whitespace().map(|word| word.trim_matches('"'));
        Remus::from_arg_matches(&parser.try_get_matches_from(words)?)
    }

    #[test]
    fn the_receiver_is_called_as_stock_xl_calls_it() {
        let rune = |line| parsed(line).unwrap().rune("host2");
        assert_eq!(rune("web1 host2"), "exec ssh host2 xl migrate-receive -r ");
        assert_eq!(rune("-e -s socat web1 host2"), "exec socat host2 xl migrate-receive -r  -e");
        assert_eq!(rune("-s \"\" web1 host2"), "host2");
    }

    #[test]
    fn a_host_is_needed_unless_nobody_reads() {
        assert!(parsed("web1").is_err());
        assert!(parsed("-b web1").unwrap().options().blackhole);
        assert_eq!(parsed("-i 0 web1 host2").unwrap().options().interval.as_millis(), 200);
        assert_eq!(parsed("-i 50 web1 host2").unwrap().options().interval.as_millis(), 50);
    }
}
