//! `xl migrate` and, at its other end, `xl migrate-receive`.

use crate::autoballoon;
use crate::cli::{Globals, Run};
use crate::failure::Failure;
use crate::guard::Guard;
use crate::handover::{self, Arriving, BANNER, Leaving, Line};
use crate::monitor::{self, Watching};
use crate::output::progress::Progress;
use crate::output::{Format, say};
use crate::saved::{self, Saved, Taken};
use crate::session::Session;
use crate::transport::Transport;
use clap::Args;
use libxc::DomId;
use libxc::migrate::Limits;
use libxl::domain::restore::Stream;
use libxl::domain::suspend::Hold;
use libxl::domain::{self, control, info, name, save};
use libxl::error::ResultExt;
use libxl::stream_filter::Compression;
use libxl::{Ctx, Result as LibxlResult};
use std::fs::File;
use std::io::{self, IsTerminal};
use std::os::fd::AsFd;
use std::time::Duration;

/// `xl migrate`.
#[derive(Args)]
pub(crate) struct Migrate {
    /// Send this configuration instead of the domain's own
    #[arg(short = 'C', value_name = "FILE")]
    config: Option<String>,
    /// Use this instead of ssh; if empty, run the host argument itself
    #[arg(short = 's', value_name = "COMMAND", default_value = "ssh")]
    transport: String,
    /// Do not wait in the background, there, for the death of the domain
    #[arg(short = 'e')]
    no_monitor: bool,
    /// Leave the domain paused there
    #[arg(short = 'p')]
    paused: bool,
    /// Keep the domain's number
    #[arg(short = 'D')]
    keep_domid: bool,
    /// As -e
    #[arg(short = 'F')]
    foreground: bool,
    /// Compress what is sent: zstd, zstd:LEVEL (1 to 19) or lz4. Stock xl cannot receive it
    #[arg(long, value_name = "METHOD")]
    compress: Option<Compression>,
    /// Give up if the guest is not copied within so many seconds; it runs on here
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..))]
    timeout: Option<u32>,
    /// Suspend the guest only once copying the rest takes at most so many ms; if that never comes it runs on here
    #[arg(long, value_name = "MS")]
    max_downtime: Option<u32>,
    /// Copy at most so many megabytes (10^6 bytes) a second while the guest runs
    #[arg(long, value_name = "MB/S", value_parser = clap::value_parser!(u32).range(1..))]
    bandwidth: Option<u32>,
    #[command(flatten)]
    format: Format,
    /// Check every page, and say very much
    #[arg(long)]
    debug: bool,
    /// Accepted: migration is always live
    #[arg(long)]
    live: bool,
    /// Name or number of the domain
    domain: String,
    /// The host to migrate to
    host: String,
}

impl Run for Migrate {
    fn run(self, session: &Session) -> Result<(), Failure> {
        let domid = session.domain(&self.domain)?;
        let hold = Hold::of(&session.ctx, domid)?;
        let name = info::names(&session.ctx, &[domid])?.pop().flatten().unwrap_or_default();
        let config =
            saved::config(session, domid, &Taken { file: self.config.as_deref(), keep_domid: self.keep_domid })?;
        let guard = Guard::of_held(&hold)?;
        // It inherits what signals this process waits for: ^C is to end one that asks for a password.
        let mut transport = Transport::start(&self.rune(&session.globals))?;
        let session = session.cancellable()?;
        let ctx = &session.ctx;
        let mut line = transport.line(ctx)?;
        let sent = line.expect(BANNER).map_err(Failure::from).and_then(|()| {
            saved::write(&line.to, "migration stream", &config, self.compress.is_some())?;
            let mut progress = Progress::in_format(&self.format, &session.globals);
            let mut show = |what: &str, done, total| progress.show(what, done, total);
            Ok(save(ctx, &hold, line.to.as_fd(), self.options(), &mut show)?)
        });
        let ended =
            sent.and_then(|()| handover::hand_over(&mut line, &mut Here { ctx, hold: &hold, name, guard: &guard }));
        drop(line);
        transport.end();
        ended
    }
}

impl Migrate {
    fn options(&self) -> save::Options {
        let limits = Limits {
            max_downtime: self.max_downtime.map(|ms| Duration::from_millis(ms.into())),
            bandwidth: self.bandwidth.map(|megabytes| u64::from(megabytes) * 1_000_000),
        };
        let time_limit = self.timeout.map(|seconds| Duration::from_secs(seconds.into()));
        save::Options { live: true, verify: self.debug, compression: self.compress, time_limit, limits }
    }

    /// The shell command that runs the receiver, byte for byte stock xl's.
    fn rune(&self, globals: &Globals) -> String {
        if self.transport.is_empty() {
            return self.host.clone();
        }
        let flag = |set: bool, text: &'static str| if set { text } else { "" };
        let verbose = match usize::from(globals.verbose) {
            0 => String::new(),
            count => format!(" -{}", "v".repeat(count)),
        };
        [
            &format!("exec {} {} xl", self.transport, self.host),
            flag(globals.progress_by_cr || io::stderr().is_terminal(), " -t"),
            flag(globals.timestamps, " -T"),
            &verbose,
            " migrate-receive",
            flag(self.no_monitor || self.foreground, " -e"),
            flag(self.debug, " -d"),
            flag(self.paused, " -p"),
        ]
        .concat()
    }
}

/// The guest at the sender.
struct Here<'a> {
    ctx: &'a Ctx,
    hold: &'a Hold,
    name: String,
    guard: &'a Guard,
}

impl Here<'_> {
    fn away(&self) -> String {
        format!("{}{}", self.name, handover::AWAY)
    }
}

impl Leaving for Here<'_> {
    fn rename_away(&mut self) -> LibxlResult<()> {
        self.guard.leaving();
        name::rename(self.ctx, self.hold.domid(), Some(&self.name), &self.away())
    }

    fn rename_back(&mut self) -> LibxlResult<()> {
        self.ctx.undisturbed(|| name::rename(self.ctx, self.hold.domid(), Some(&self.away()), &self.name))
    }

    fn check(&mut self) -> LibxlResult<()> {
        self.ctx.check_cancel()?;
        self.hold.check(self.ctx)?;
        self.guard.given();
        Ok(())
    }

    fn put_back(&mut self) -> LibxlResult<bool> {
        self.hold.put_back(self.ctx)
    }

    fn destroy(&mut self) -> LibxlResult<()> {
        self.ctx.undisturbed(|| domain::destroy(self.ctx, self.hold.domid()))
    }
}

/// `xl migrate-receive`.
#[derive(Args)]
pub(crate) struct MigrateReceive {
    /// Stay in the foreground until the death of the domain
    #[arg(short = 'F')]
    foreground: bool,
    /// Do not wait in the background for the death of the domain
    #[arg(short = 'e')]
    no_monitor: bool,
    /// Show the configuration on standard error
    #[arg(short = 'd')]
    debug: bool,
    /// Receive Remus checkpoints
    #[arg(short = 'r')]
    remus: bool,
    /// Leave the domain paused
    #[arg(short = 'p')]
    paused: bool,
    /// Receive COLO checkpoints
    #[arg(long)]
    colo: bool,
    /// Set up COLO's network with this
    #[arg(long, value_name = "SCRIPT")]
    coloft_script: Option<String>,
    /// Use COLO's proxy in user space
    #[arg(long)]
    userspace_colo_proxy: bool,
}

impl Run for MigrateReceive {
    fn run(self, session: &Session) -> Result<(), Failure> {
        if self.colo || self.coloft_script.is_some() || self.userspace_colo_proxy {
            return Err(Failure::new(1, "COLO is not built yet"));
        }
        let session = session.cancellable()?;
        let ctx = &session.ctx;
        let guard = Guard::start()?;
        let mut line = Line::new(ctx, own(io::stdin().as_fd())?, own(io::stdout().as_fd())?);
        say(format_args!("migration target: Ready to receive domain."));
        line.send(BANNER)?;

        let Saved { mut loaded, form } = saved::read(&session, line.reader(), "<incoming migration stream>", None)?;
        let name = loaded.config.c_info.name.clone().unwrap_or_default();
        loaded.config.c_info.name = Some(incoming(&name));
        if self.debug {
            say(format_args!("{}", loaded.shown()?));
        }
        let mut progress = Progress::new(&session.globals);
        let stream = Stream { from: line.from.as_fd(), form, checkpoints: self.remus };
        let domid = autoballoon::restore(ctx, &loaded.xl_conf, loaded.config, stream, &guard, &mut progress)?;
        drop(progress);
        // A guest that was lost is to be there again: -p is for one that is moved.
        let mut copy = There { ctx, domid, name, paused: self.paused && !self.remus, guard: &guard };
        if self.remus {
            ctx.undisturbed(|| self.fail_over(&session, &mut copy))?;
            let There { name, .. } = copy;
            drop(guard);
            return self.watch_in_foreground(&session, domid, &name);
        }
        if let Err(failure) = self.watch_in_background(&session, &copy) {
            copy.destroy()?;
            return Err(failure);
        }
        guard.ready();
        handover::take_over(&mut line, &mut copy)?;
        let There { name, .. } = copy;
        drop(guard);
        self.watch_in_foreground(&session, domid, &name)
    }
}

impl MigrateReceive {
    /// The sender is lost, and its guest lives on here: whatever fails, the copy stays.
    fn fail_over(&self, session: &Session, copy: &mut There<'_>) -> Result<(), Failure> {
        say(format_args!("migration target: Remus Failover for domain {}", copy.domid));
        if let Err(failure) = self.watch_in_background(session, copy) {
            say(format_args!("{failure}"));
        }
        if let Err(e) = copy.rename() {
            say(format_args!("migration target (Remus): {e}"));
        }
        Ok(copy.start().context("migration target (Remus)")?)
    }

    fn watch_in_foreground(&self, session: &Session, domid: DomId, name: &str) -> Result<(), Failure> {
        match Watching::of(self.no_monitor, self.foreground) {
            Watching::Foreground => monitor::watch(session, domid, name, Watching::Foreground),
            _ => Ok(()),
        }
    }

    /// A monitor is started while the guest can still stay where it is.
    fn watch_in_background(&self, session: &Session, copy: &There<'_>) -> Result<(), Failure> {
        match Watching::of(self.no_monitor, self.foreground) {
            Watching::Background => monitor::watch(session, copy.domid, &copy.name, Watching::Background),
            _ => Ok(()),
        }
    }
}

/// The name of a copy that is not yet the guest.
fn incoming(name: &str) -> String {
    format!("{name}--incoming")
}

fn own(fd: impl AsFd) -> LibxlResult<File> {
    fd.as_fd().try_clone_to_owned().map(File::from).context("the way to the sender")
}

/// The copy at the receiver.
struct There<'a> {
    ctx: &'a Ctx,
    domid: DomId,
    /// The guest's name.
    name: String,
    paused: bool,
    guard: &'a Guard,
}

impl Arriving for There<'_> {
    fn rename(&mut self) -> LibxlResult<()> {
        name::rename(self.ctx, self.domid, Some(&incoming(&self.name)), &self.name)
    }

    fn start(&mut self) -> LibxlResult<()> {
        if !self.paused {
            control::unpause(self.ctx, self.domid)?;
        }
        self.guard.ours();
        Ok(())
    }

    fn destroy(&mut self) -> LibxlResult<()> {
        self.ctx.undisturbed(|| domain::destroy(self.ctx, self.domid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{Command as Parser, FromArgMatches};

    fn rune(line: &str, globals: &Globals) -> String {
        let parser = Migrate::augment_args(Parser::new("migrate").no_binary_name(true));
        let words = line.split_whitespace().map(|word| word.trim_matches('"'));
        Migrate::from_arg_matches(&parser.get_matches_from(words)).unwrap().rune(globals)
    }

    #[test]
    fn the_receiver_is_called_as_stock_xl_calls_it() {
        // On a terminal, as tests may run, the receiver is told so.
        let plain = |rune: String| rune.replace("xl -t", "xl");
        let globals = Globals::default();
        assert_eq!(plain(rune("web1 host2", &globals)), "exec ssh host2 xl migrate-receive");
        assert_eq!(plain(rune("-e --debug -p web1 host2", &globals)), "exec ssh host2 xl migrate-receive -e -d -p");
        let mut verbose = Globals::default();
        (verbose.verbose, verbose.timestamps) = (3, true);
        assert_eq!(plain(rune("-F -s socat web1 x", &verbose)), "exec socat x xl -T -vvv migrate-receive -e");
        assert_eq!(rune("-s \"\" web1 ./receive", &globals), "./receive");
    }
}
