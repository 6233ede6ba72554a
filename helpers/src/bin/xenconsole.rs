//! `xenconsole DOMID`: connects this terminal to a console of a domain, until the escape character is typed or the
//! domain is gone. Run by `xl console` and `xl create -c`, with stock xenconsole's options, lock and exit statuses.

use clap::{Parser, ValueEnum};
use helpers::console::{Escape, Operator, RawTerminal, relay};
use helpers::inherited;
use libc::{O_NOCTTY, O_NONBLOCK};
use libxc::DomId;
use libxl::domain::attach::{self, Console};
use libxl::domain::tty::Tty;
use libxl::event::Signals;
use libxl::types::ConsoleType;
use libxl::{Ctx, Error, ErrorKind, Paths, Result};
use nix::errno::Errno;
use nix::sys::signal::{Signal, raise};
use std::fs::{self, File, OpenOptions};
use std::io::{self, IsTerminal, Write, stdin, stdout};
use std::os::fd::{AsFd, OwnedFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::ExitCode;

/// Connect this terminal to a console of a domain
#[derive(Parser)]
#[command(name = "xenconsole", version, infer_long_args = true)]
struct Options {
    /// Number of the console
    #[arg(short, long, value_name = "N", default_value = "0")]
    num: u32,
    /// Kind of the console; a serial port that the domain does not have is its PV console
    #[arg(long = "type", default_value = "serial")]
    kind: Kind,
    /// Pass standard input on although it is not a terminal
    #[arg(long)]
    interactive: bool,
    /// The character that leaves the console, as ^a or a plain one
    #[arg(long, allow_hyphen_values = true, default_value = "^]")]
    escape: Escape,
    /// A descriptor to which a zero byte is written once the console is connected
    #[arg(long, value_name = "FD")]
    start_notify_fd: Option<RawFd>,
    /// Number of the domain
    domid: u16,
}

#[derive(Clone, Copy, ValueEnum)]
enum Kind {
    Serial,
    Pv,
    Vuart,
}

impl From<Kind> for ConsoleType {
    fn from(kind: Kind) -> ConsoleType {
        match kind {
            Kind::Serial => ConsoleType::Serial,
            Kind::Pv => ConsoleType::Pv,
            Kind::Vuart => ConsoleType::Vuart,
        }
    }
}

fn main() -> ExitCode {
    let options = match Options::try_parse() {
        Ok(options) => options,
        Err(told) => {
            let _ = told.print();
            return if told.use_stderr() { status(ErrorKind::Invalid) } else { ExitCode::SUCCESS };
        }
    };
    match connect(&options) {
        // As if it had not been held up until the terminal was set right; stock xenconsole takes SIGTERM for an end.
        Ok(Some(signal)) if signal != Signal::SIGTERM => {
            let _ = raise(signal);
            ExitCode::FAILURE
        }
        Ok(_) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("xenconsole: {e}");
            status(e.kind())
        }
    }
}

/// Stock xenconsole ends with the number of the system's error.
fn status(kind: ErrorKind) -> ExitCode {
    let errno = match kind {
        ErrorKind::Invalid => Errno::EINVAL,
        ErrorKind::LockFail => Errno::EWOULDBLOCK,
        ErrorKind::DomainNotFound | ErrorKind::NotFound | ErrorKind::TimedOut => Errno::ENOENT,
        _ => Errno::EPERM,
    };
    ExitCode::from(errno as u8)
}

/// Connects the terminal; tells which signal has ended that, if one has.
fn connect(options: &Options) -> Result<Option<Signal>> {
    let domid = DomId(options.domid);
    if domid == DomId(0) {
        return Err(Error::invalid("domain 0 has no console that could be connected"));
    }
    let ctx = Ctx::new(Paths::installed(Path::new("/usr/local")).with_environment(|name| std::env::var_os(name)));
    let console = Console { domid, number: options.num, kind: options.kind.into() };
    let tty = Tty::follow(&ctx, console)?;
    let first = tty.wait()?;

    // From here on there is something to put right before the end.
    let signals = Signals::new(&ending(&fs::read_to_string("/proc/self/status").unwrap_or_default()))?;
    let _lock = attach::lock(&ctx, domid)?;
    let (input, output) = (stdin(), output()?);
    let at_terminal = input.is_terminal() && output.is_terminal();
    let _raw = at_terminal.then(|| RawTerminal::new(&input)).transpose()?;
    if let Some(number) = options.start_notify_fd {
        File::from(inherited::take(number)?).write_all(&[0])?;
    }
    let operator = Operator {
        input: (at_terminal || options.interactive).then(|| input.as_fd()),
        output: output.as_fd(),
        escape: options.escape,
        stop: signals.as_fd(),
    };
    relay(&ctx, &operator, first, tty.changes(), || tty.open())?;
    signals.take()
}

/// Standard output. A terminal is opened anew, so that writing to it does not wait, and that of the shell still does.
fn output() -> io::Result<OwnedFd> {
    let output = stdout();
    if output.is_terminal()
        && let Ok(own) = OpenOptions::new().write(true).custom_flags(O_NOCTTY | O_NONBLOCK).open("/dev/stdout")
    {
        return Ok(own.into());
    }
    output.as_fd().try_clone_to_owned()
}

/// The signals that end a process that has not been told to ignore them (nohup), by what Linux says of it (proc(5)).
fn ending(status: &str) -> Vec<Signal> {
    let ignored = status.lines().find_map(|line| u64::from_str_radix(line.strip_prefix("SigIgn:")?.trim(), 16).ok());
    let is_ignored = |signal: &Signal| ignored.unwrap_or(0) & (1 << (*signal as u32 - 1)) != 0;
    let mut signals = vec![Signal::SIGHUP, Signal::SIGINT, Signal::SIGQUIT, Signal::SIGTERM];
    signals.retain(|signal| !is_ignored(signal));
    signals
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_stock_xenconsoles() {
        let words = "xenconsole 7 --num 2 --type pv --start-notify-fd 5 --escape ^a";
        let options = Options::try_parse_from(words.split(' ')).unwrap();
        assert_eq!((options.domid, options.num, options.start_notify_fd), (7, 2, Some(5)));
        assert!(matches!(options.kind, Kind::Pv) && !options.interactive);
        assert_eq!(options.escape, "^a".parse().unwrap());
        let plain = Options::try_parse_from(["xenconsole", "--escape", "-", "7"]).unwrap();
        assert_eq!(plain.escape, "-".parse().unwrap());
        let default = Options::try_parse_from(["xenconsole", "7"]).unwrap();
        assert_eq!(default.escape, "^]".parse().unwrap());
        for bad in ["", "7 --type ide", "web1", "7 --escape ab", "70000"] {
            assert!(Options::try_parse_from(std::iter::once("xenconsole").chain(bad.split(' '))).is_err(), "{bad}");
        }
    }

    #[test]
    fn ignored_signals_stay_ignored() {
        let all = [Signal::SIGHUP, Signal::SIGINT, Signal::SIGQUIT, Signal::SIGTERM];
        assert_eq!(ending(""), all);
        assert_eq!(ending("SigBlk:\tffffffffffffffff\nSigIgn:\t0000000000001000\n"), all);
        assert_eq!(ending("SigIgn:\t0000000000000001\n"), all[1..]);
        assert_eq!(ending("SigIgn:\t0000000000001007\n"), all[3..]);
    }
}
