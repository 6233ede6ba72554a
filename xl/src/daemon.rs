//! Processes that stay in the background: the monitor of a domain, `xl devd`.
//!
//! Each is another run of a program, with nothing inherited. A pipe, its standard output, tells whoever started it whether
//! it got as far as doing its work. From then on its words go to a log.

use crate::failure::Failure;
use libxl::domain::monitor::READY;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

/// This program.
pub(crate) const SELF: &str = "/proc/self/exe";

/// Starts a program as a daemon, and returns when it is at work.
///
/// # Errors
/// Why it is not, in its own words.
pub(crate) fn start(
    program: impl AsRef<Path>,
    arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
) -> Result<(), String> {
    let program = program.as_ref();
    let mut daemon = Command::new(program)
        .arg0("xl")
        .args(arguments)
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|e| format!("running {}: {}", program.display(), libxc::reason(&e)))?;
    let mut answer = String::new();
    if let Some(pipe) = daemon.stdout.take() {
        BufReader::new(pipe).read_line(&mut answer).map_err(|e| libxc::reason(&e))?;
    }
    match answer.trim_end() {
        READY => Ok(()),
        "" => Err("it ended without a word".into()),
        why => Err(why.into()),
    }
}

/// Makes this run of the program a daemon: in a session of its own, with the log that `prepare` opens, and ready when
/// `prepare` has done all that can fail.
pub(crate) fn become_one<T>(prepare: impl FnOnce() -> libxl::Result<(File, T)>) -> Result<T, Failure> {
    // Known to `ps` and `pgrep` by the name of the program, whatever path it was started by.
    let _ = nix::sys::prctl::set_name(c"xl");
    // The leader of a session already has what this is for.
    let _ = nix::unistd::setsid();
    let (log, prepared) = prepare().map_err(|e| {
        println!("{e}");
        Failure::silent(1)
    })?;
    println!("{READY}");
    // The pipe to whoever waits closes.
    nix::unistd::dup2_stdout(&log).and_then(|()| nix::unistd::dup2_stderr(&log)).map_err(libxl::Error::from)?;
    Ok(prepared)
}

/// Tells the service manager, if one started this process and wants to know, that it is at work (sd_notify(3)).
pub(crate) fn tell_service_manager() -> std::io::Result<()> {
    let Some(path) = std::env::var_os("NOTIFY_SOCKET") else { return Ok(()) };
    let address = match path.as_encoded_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(&path)?,
    };
    UnixDatagram::unbound()?.send_to_addr(b"READY=1", &address).map(drop)
}
