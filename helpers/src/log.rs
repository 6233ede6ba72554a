//! Where the stream tools put their lines: standard output and error, or the system log.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;

/// The lines of one tool.
pub struct Log {
    tool: &'static str,
    /// A datagram socket. As a file it takes no system calls that a confined helper may not make.
    syslog: Option<File>,
}

impl Log {
    /// Lines of `tool`, into the system log if `syslog`. Where there is none, that is said once.
    pub fn new(tool: &'static str, syslog: bool) -> Log {
        let connect = || {
            let socket = UnixDatagram::unbound()?;
            socket.connect("/dev/log")?;
            io::Result::Ok(File::from(OwnedFd::from(socket)))
        };
        let mut log = Log { tool, syslog: None };
        if syslog {
            match connect() {
                Ok(socket) => log.syslog = Some(socket),
                Err(e) => log.error(&format!("/dev/log: {e}; logging to standard output")),
            }
        }
        log
    }

    /// What a stream contains. A reader that went away is no fault of the stream.
    pub fn info(&self, line: &str) {
        match &self.syslog {
            Some(socket) => self.send(socket, 6, line),
            None => drop(writeln!(io::stdout(), "{line}")),
        }
    }

    /// What went wrong.
    pub fn error(&self, line: &str) {
        if let Some(socket) = &self.syslog {
            self.send(socket, 3, line);
        }
        eprintln!("{}: {line}", self.tool);
    }

    /// One line for the system log, facility "user" (RFC 3164).
    fn send(&self, mut socket: &File, severity: u8, line: &str) {
        let message = format!("<{}>{}[{}]: {line}", 8 + severity, self.tool, std::process::id());
        if let Err(e) = socket.write_all(message.as_bytes()) {
            eprintln!("{}: /dev/log: {e}: {line}", self.tool);
        }
    }
}
