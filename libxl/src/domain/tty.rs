//! The pseudo terminal behind a console: xenconsoled opens it, or QEMU for a serial port, and puts its name into
//! xenstore.

use super::attach::Console;
use crate::Ctx;
use crate::error::{Error, ErrorKind, Result, ResultExt};
use crate::event::{self, Deadline, Source};
use crate::types::ConsoleType;
use crate::xenstore::{Store, Watch, optional, schema};
use libc::{O_NOCTTY, O_NONBLOCK};
use libxc::DomId;
use nix::sys::termios::{SetArg, cfmakeraw, tcgetattr, tcsetattr};
use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::time::Duration;

/// Whoever opens the terminal of a new domain may need a moment.
const PATIENCE: Duration = Duration::from_secs(5);

/// The terminal of a console, followed in xenstore: another one may take its place, when xenconsoled is started anew.
pub struct Tty<'a> {
    ctx: &'a Ctx,
    domid: DomId,
    node: String,
    watch: Watch,
}

impl Tty<'_> {
    /// Follows the terminal of this console. A serial port that does not exist is the PV console of that number, as for
    /// stock xenconsole.
    ///
    /// # Errors
    /// [`ErrorKind::DomainNotFound`] if there is no such domain.
    pub fn follow(ctx: &Ctx, console: Console) -> Result<Tty<'_>> {
        let Console { domid, number, kind } = console;
        let home = schema::domain(domid);
        let [serial, pv] = [ConsoleType::Serial, ConsoleType::Pv].map(|kind| node(&home, number, kind));
        let found = ctx.xs()?.read_many([&home, &serial])?;
        let [Some(_), serial_port] = found.as_slice() else {
            return Err(Error::new(ErrorKind::DomainNotFound, format!("there is no domain {domid}")));
        };
        let node = match kind {
            ConsoleType::Serial if serial_port.is_some() => serial,
            ConsoleType::Vuart => node(&home, number, kind),
            _ => pv,
        };
        Ok(Tty { ctx, domid, watch: ctx.xs()?.watch(&node)?, node })
    }

    /// Opens it, waiting some seconds for a name.
    ///
    /// # Errors
    /// As [`Tty::open`]; [`ErrorKind::TimedOut`] if no terminal appears.
    pub fn wait(&self) -> Result<File> {
        let node = &self.node;
        let missing = format!("no terminal is named in {node} (is there such a console, and does xenconsoled run?)");
        event::wait_until(self.ctx, &self.watch, Deadline::after(PATIENCE), &missing, || self.open())
    }

    /// Wakes when the terminal may be another one.
    pub fn changes(&self) -> Source<'_> {
        Source::Watch(&self.watch)
    }

    /// Opens it, so that reading and writing never wait; it passes bytes on unchanged. `None` if there is none, because
    /// the domain is gone or nobody serves its console.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if what xenstore says is not to be trusted, or cannot be opened.
    pub fn open(&self) -> Result<Option<File>> {
        self.watch.take();
        let node = &self.node;
        let xs = self.ctx.xs()?;
        let Some(name) = optional(xs.read_bytes(node))? else { return Ok(None) };
        // After the name: a node that only the host can write now is none that a guest made before.
        let Some(perms) = optional(xs.get_perms(node))? else { return Ok(None) };
        if name.is_empty() {
            return Ok(None);
        }
        let untrusted = |why: String| Error::new(ErrorKind::NotFound, format!("{node} in xenstore {why}"));
        if perms.writable_by(self.domid) {
            return Err(untrusted("can be written by the guest: it may name any terminal".into()));
        }
        let Some(pty) = pty(&name) else {
            let start = String::from_utf8_lossy(&name[..name.len().min(32)]);
            return Err(untrusted(format!("names {start:?}, which is no pseudo terminal")));
        };
        let step = || format!("opening {pty}, which {node} in xenstore names");
        let tty = OpenOptions::new().read(true).write(true).custom_flags(O_NOCTTY | O_NONBLOCK).open(pty);
        let tty = tty.with_context(step).map_err(|e| e.with_kind(ErrorKind::NotFound))?;
        // Whoever opened it has most likely done this already.
        if let Ok(mut mode) = tcgetattr(&tty) {
            cfmakeraw(&mut mode);
            let _ = tcsetattr(&tty, SetArg::TCSANOW, &mode);
        }
        Ok(Some(tty))
    }
}

/// Where xenstore has the name of a console's terminal. There is one virtual UART.
fn node(home: &str, number: u32, kind: ConsoleType) -> String {
    match (kind, number) {
        (ConsoleType::Serial, _) => format!("{home}/serial/{number}/tty"),
        (ConsoleType::Vuart, _) => format!("{home}/vuart/0/tty"),
        (_, 0) => format!("{home}/console/tty"),
        (_, _) => format!("{home}/device/console/{number}/tty"),
    }
}

/// The name of a pseudo terminal of this host; no other file is ever opened in its place.
pub(crate) fn pty(name: &[u8]) -> Option<&str> {
    let name = str::from_utf8(name).ok()?;
    let number = name.strip_prefix("/dev/pts/")?;
    ((1..=10).contains(&number.len()) && number.bytes().all(|b| b.is_ascii_digit())).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xenstore::fake::Fake;
    use nix::pty::openpty;
    use nix::sys::termios::OutputFlags;
    use nix::unistd::ttyname;
    use std::io::{Read, Write};
    use std::path::Path;

    const PV: Console = Console { domid: DomId(7), number: 0, kind: ConsoleType::Pv };
    const NODE: &str = "/local/domain/7/console/tty";

    #[test]
    fn each_console_has_its_node() {
        let of = |number, kind| node("/local/domain/7", number, kind);
        assert_eq!(of(0, ConsoleType::Pv), NODE);
        assert_eq!(of(2, ConsoleType::Pv), "/local/domain/7/device/console/2/tty");
        assert_eq!(of(1, ConsoleType::Serial), "/local/domain/7/serial/1/tty");
        assert_eq!(of(1, ConsoleType::Vuart), "/local/domain/7/vuart/0/tty");
    }

    #[test]
    fn only_pseudo_terminals_are_opened() {
        assert_eq!(pty(b"/dev/pts/12"), Some("/dev/pts/12"));
        let bad: [&[u8]; 8] = [
            b"/dev/mem",
            b"/dev/pts/",
            b"/dev/pts/1/../../mem",
            b"pts/1",
            b"/dev/pts/+1",
            b"/dev/pts/1\n",
            b"\xff",
            b"/dev/pts/12345678901",
        ];
        for bad in bad {
            assert_eq!(pty(bad), None, "{}", String::from_utf8_lossy(bad));
        }
    }

    #[test]
    fn the_terminal_is_opened_for_bytes_as_they_are() {
        let pair = openpty(None, None).unwrap();
        let fake = Fake::new();
        fake.set(NODE, b"");
        let ctx = fake.ctx();
        let tty = Tty::follow(&ctx, PV).unwrap();
        assert!(tty.open().unwrap().is_none(), "the node is there, and names none yet");
        fake.set(NODE, ttyname(&pair.slave).unwrap().to_str().unwrap().as_bytes());
        let mut opened = tty.wait().unwrap();
        assert!(!tcgetattr(&opened).unwrap().output_flags.contains(OutputFlags::OPOST));
        let mut master = File::from(pair.master);
        opened.write_all(b"a\n").unwrap();
        let mut read = [0; 8];
        assert_eq!(master.read(&mut read).unwrap(), 2);
        assert_eq!(opened.read(&mut read).unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    }

    #[test]
    fn what_the_guest_could_have_written_is_refused() {
        let fake = Fake::new();
        fake.set(NODE, b"/dev/pts/0");
        let ctx = fake.ctx();
        let tty = Tty::follow(&ctx, PV).unwrap();
        ctx.xs().unwrap().set_perms(NODE, &"(n7,r0)".parse().unwrap()).unwrap();
        let error = tty.wait().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert!(error.to_string().contains("can be written by the guest"), "{error}");
    }

    #[test]
    fn a_bad_name_is_told_and_cut_short() {
        let fake = Fake::new();
        let ctx = fake.ctx();
        fake.set(NODE, &[b"/etc/\x1b]2;".as_slice(), &[b'x'; 4000]].concat());
        let error = Tty::follow(&ctx, PV).unwrap().wait().unwrap_err().to_string();
        assert!(error.contains(r"/etc/\u{1b}]2;xxx") && error.len() < 150, "{error}");
    }

    #[test]
    fn a_serial_port_that_is_not_there_is_the_pv_console() {
        let fake = Fake::new();
        let ctx = fake.ctx();
        fake.set(NODE, b"");
        let serial = Console { kind: ConsoleType::Serial, ..PV };
        assert_eq!(Tty::follow(&ctx, serial).unwrap().node, NODE);
        fake.set("/local/domain/7/serial/0/tty", b"");
        assert_eq!(Tty::follow(&ctx, serial).unwrap().node, "/local/domain/7/serial/0/tty");
        assert_eq!(Tty::follow(&ctx, PV).unwrap().node, NODE);
    }

    #[test]
    fn no_such_domain() {
        let ctx = Ctx::new(crate::Paths::installed(Path::new("/usr"))).with_xs(Fake::new().connect());
        let error = Tty::follow(&ctx, PV).err().unwrap();
        assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::DomainNotFound, "there is no domain 7"));
    }
}
