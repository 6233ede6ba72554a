//! `xl-monitor [--again] XL DOMID NAME`: stays with a domain until it is gone, or has shut down: then it becomes XL, which
//! does what the domain's configuration says. Run by xl: at first with a pipe as its output, which it tells that it waits, and
//! then with its output going to the domain's log.

use libxc::DomId;
use libxc::domain::ShutdownReason;
use libxl::domain::monitor::{self, AGAIN, READY};
use libxl::{Ctx, Paths, logfile};
use nix::sys::signal::SigSet;
use nix::unistd;
use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode};

/// What it was asked to do.
struct Call {
    again: bool,
    xl: OsString,
    domid: DomId,
    name: String,
}

fn main() -> ExitCode {
    // The xl that started it may have been waiting for signals; they are to end this one.
    let _ = SigSet::empty().thread_set_mask();
    let Some(call) = parse(std::env::args_os().skip(1)) else {
        eprintln!("usage: xl-monitor [{AGAIN}] XL DOMID NAME (xl runs it, for each domain)");
        return ExitCode::from(2);
    };
    // It is xl to `ps` and `pgrep`, as stock xl's is.
    let _ = unistd::setsid().and(nix::sys::prctl::set_name(c"xl"));
    let why = match follow(&call) {
        Ok(Some(_)) => become_xl(&call).to_string(),
        Ok(None) => {
            println!("{}", monitor::destroyed(call.domid));
            return ExitCode::SUCCESS;
        }
        Err(e) => e.to_string(),
    };
    // To whoever waits for this process to be ready, or to the log.
    println!("staying with domain {}: {why}", call.domid);
    ExitCode::FAILURE
}

fn parse(arguments: impl Iterator<Item = OsString>) -> Option<Call> {
    let mut arguments = arguments.peekable();
    let again = arguments.next_if(|first| first == AGAIN).is_some();
    let xl = arguments.next()?;
    let domid = DomId(arguments.next()?.to_str()?.parse().ok()?);
    Some(Call { again, xl, domid, name: arguments.next()?.to_string_lossy().into_owned() })
}

/// Waits for the domain's end; `None` if it was destroyed.
fn follow(call: &Call) -> libxl::Result<Option<ShutdownReason>> {
    let ctx = Ctx::new(Paths::installed(Path::new("/usr/local")).with_environment(|name| std::env::var_os(name)));
    let watch = monitor::watch(&ctx)?;
    if !call.again {
        let (log, _) = logfile::create(&ctx, &format!("xl-{}", call.name))?;
        println!("{READY}");
        unistd::dup2_stdout(&log).and_then(|()| unistd::dup2_stderr(&log))?;
    }
    println!("{}", monitor::waiting(call.domid, &call.name));
    monitor::wait_for_end(&ctx, &watch, call.domid)
}

/// Goes on as xl; returns only if that fails.
fn become_xl(call: &Call) -> io::Error {
    let (domid, xl) = (call.domid.to_string(), &call.xl);
    let error = Command::new(xl).arg0("xl").arg(monitor::ENDED).arg(domid).arg(&call.name).exec();
    io::Error::new(error.kind(), format!("running {}: {error}", xl.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn xl_runs_it_with_three_arguments_or_four() {
        let call = |words: &[&str]| parse(words.iter().map(OsString::from)).map(|call| (call.again, call.domid));
        assert_eq!(call(&["/usr/sbin/xl", "7", "web1"]), Some((false, DomId(7))));
        assert_eq!(call(&["--again", "/usr/sbin/xl", "7", "web1"]), Some((true, DomId(7))));
        assert_eq!(call(&["/usr/sbin/xl", "web1", "7"]), None);
        assert_eq!(call(&["--again", "/usr/sbin/xl", "7"]), None);
        assert_eq!(call(&[]), None);
    }
}
