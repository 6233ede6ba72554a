//! QEMU's machine protocol: a line of JSON for each command and each answer, over a socket of the guest's
//! (docs/interop/qmp-spec of QEMU).

use crate::ctx::Ctx;
use crate::error::{Error, ErrorKind, Result, ResultExt};
use crate::event::{self, Deadline, Source, Woken};
use crate::lock::LockFile;
use crate::userdata::Userdata;
use libxc::DomId;
use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use serde_json::{Value, json};
use std::io::{ErrorKind as IoErrorKind, IoSlice, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// How long QEMU may take for a command, and another process of the toolstack for its own.
const PATIENCE: Duration = Duration::from_secs(60);
/// The longest line that is taken; answers to our commands are short.
const LINE_MAX: usize = 1 << 20;

/// A conversation with the QEMU of a guest. QEMU serves one client after the other, so those of libxl wait for each other.
pub(crate) struct Qmp<'a> {
    ctx: &'a Ctx,
    socket: UnixStream,
    /// What came behind the last whole line.
    received: Vec<u8>,
    _lock: Option<LockFile>,
}

impl<'a> Qmp<'a> {
    /// Begins a conversation.
    ///
    /// # Errors
    /// That there is no such QEMU or that it does not answer; `Aborted` if cancelled.
    pub(crate) fn connect(ctx: &'a Ctx, domid: DomId) -> Result<Qmp<'a>> {
        let lock = Userdata::of(ctx, domid)?.lock_qmp(ctx)?;
        Qmp::over(ctx, &ctx.paths.run.join(format!("qmp-libxl-{domid}")), Some(lock))
    }

    pub(super) fn over(ctx: &'a Ctx, path: &Path, lock: Option<LockFile>) -> Result<Qmp<'a>> {
        let socket = UnixStream::connect(path).with_context(|| format!("QEMU's socket {}", path.display()))?;
        socket.set_nonblocking(true).context("QEMU's socket")?;
        let mut qmp = Qmp { ctx, socket, received: Vec::new(), _lock: lock };
        let greeting = qmp.next("greeting", Deadline::after(PATIENCE))?;
        if greeting.get("QMP").is_none() {
            return Err(Error::new(ErrorKind::ProtocolErrorQmp, "QEMU's greeting is none of QMP"));
        }
        qmp.execute("qmp_capabilities", Value::Null)?;
        Ok(qmp)
    }

    /// Has QEMU do something, and gives its answer. Without arguments: `Value::Null`.
    ///
    /// # Errors
    /// What QEMU says, by the kind of libxl's for its class; that it does not answer in time.
    pub(crate) fn execute(&mut self, command: &str, arguments: Value) -> Result<Value> {
        self.command(command, arguments, None)
    }

    /// Gives QEMU an open file; the number of the set under whose name, `/dev/fdset/N`, QEMU finds it.
    pub(crate) fn add_fd(&mut self, fd: BorrowedFd<'_>) -> Result<u64> {
        let answer = self.command("add-fd", Value::Null, Some(fd))?;
        let set = answer.get("fdset-id").and_then(Value::as_u64);
        set.ok_or_else(|| Error::new(ErrorKind::QemuApi, format!("QMP add-fd: no fdset-id in {answer}")))
    }

    fn command(&mut self, command: &str, arguments: Value, fd: Option<BorrowedFd<'_>>) -> Result<Value> {
        let step = || format!("QMP {command}");
        let mut line = json!({ "execute": command });
        if !arguments.is_null() {
            line["arguments"] = arguments;
        }
        let deadline = Deadline::after(PATIENCE);
        self.send(format!("{line}\r\n").as_bytes(), fd, deadline).with_context(step)?;
        loop {
            let mut answer = self.next(command, deadline).with_context(step)?;
            if let Some(error) = answer.get("error") {
                return Err(refusal(error)).with_context(step);
            }
            if let Some(value) = answer.get_mut("return") {
                return Ok(value.take());
            }
            // Anything else is an event, which nobody here waits for.
        }
    }

    fn send(&mut self, mut bytes: &[u8], mut fd: Option<BorrowedFd<'_>>, deadline: Deadline) -> Result<()> {
        while !bytes.is_empty() {
            self.wait(Source::Writable(self.socket.as_fd()), deadline)?;
            let fds = fd.take().map(|fd| [fd.as_raw_fd()]);
            let rights: Vec<_> = fds.iter().map(|fds| ControlMessage::ScmRights(fds)).collect();
            let flags = MsgFlags::MSG_NOSIGNAL;
            let sent = sendmsg::<()>(self.socket.as_raw_fd(), &[IoSlice::new(bytes)], &rights, flags, None);
            bytes = &bytes[sent.map_err(std::io::Error::from)?..];
        }
        Ok(())
    }

    /// The next message of QEMU.
    fn next(&mut self, what: &str, deadline: Deadline) -> Result<Value> {
        loop {
            if let Some(end) = self.received.iter().position(|&byte| byte == b'\n') {
                let line: Vec<u8> = self.received.drain(..=end).collect();
                return serde_json::from_slice(&line)
                    .map_err(|e| Error::new(ErrorKind::ProtocolErrorQmp, format!("QEMU's answer is no JSON: {e}")));
            }
            if self.received.len() > LINE_MAX {
                let text = format!("QEMU's answer is longer than {LINE_MAX} bytes");
                return Err(Error::new(ErrorKind::ProtocolErrorQmp, text));
            }
            self.wait(Source::Readable(self.socket.as_fd()), deadline)?;
            let mut bytes = [0; 4096];
            match self.socket.read(&mut bytes) {
                Ok(0) => return Err(Error::fail(format!("QEMU has ended before its answer ({what})"))),
                Ok(count) => self.received.extend_from_slice(&bytes[..count]),
                Err(e) if matches!(e.kind(), IoErrorKind::WouldBlock | IoErrorKind::Interrupted) => {}
                Err(e) => return Err(e.into()),
            }
        }
    }

    fn wait(&self, source: Source<'_>, deadline: Deadline) -> Result<()> {
        match event::wait(self.ctx, &[source], deadline)? {
            Woken::By(_) => Ok(()),
            Woken::TimedOut => {
                let seconds = PATIENCE.as_secs();
                Err(Error::new(ErrorKind::TimedOut, format!("QEMU has not answered within {seconds} s")))
            }
        }
    }
}

/// An error as QEMU tells it: a class and a text.
fn refusal(error: &Value) -> Error {
    let text = |key| error.get(key).and_then(Value::as_str).unwrap_or_default();
    let kind = match text("class") {
        "GenericError" => ErrorKind::QmpGenericError,
        "CommandNotFound" => ErrorKind::QmpCommandNotFound,
        "DeviceNotActive" => ErrorKind::QmpDeviceNotActive,
        "DeviceNotFound" => ErrorKind::QmpDeviceNotFound,
        _ => ErrorKind::UnknownQmpError,
    };
    Error::new(kind, format!("QEMU says: {}", text("desc")))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use std::io::{BufRead, BufReader, Write};
    use std::os::unix::net::UnixListener;
    use std::thread::{self, JoinHandle};

    const GREETING: &str =
        r#"{"QMP": {"version": {"qemu": {"major": 7, "minor": 2, "micro": 0}}, "capabilities": []}}"#;

    /// A QEMU that answers each command with the next of these; gives the commands that it got.
    pub(crate) fn qemu<const N: usize>(path: &Path, answers: [&'static str; N]) -> JoinHandle<Vec<Value>> {
        let listener = UnixListener::bind(path).unwrap();
        thread::spawn(move || {
            let (mut socket, _) = listener.accept().unwrap();
            let mut lines = BufReader::new(socket.try_clone().unwrap()).lines();
            write!(socket, "{GREETING}\r\n").unwrap();
            let mut commands = Vec::new();
            for answer in answers {
                let Some(Ok(line)) = lines.next() else { break };
                commands.push(serde_json::from_str(&line).unwrap());
                write!(socket, "{answer}\r\n").unwrap();
            }
            commands
        })
    }

    fn ctx(dir: &Path) -> Ctx {
        Ctx::new(crate::Paths::installed("/usr".as_ref()).rooted(dir))
    }

    #[test]
    fn commands_are_answered_and_events_passed_over() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("qmp");
        let answers =
            [r#"{"return": {}}"#, "{\"event\": \"STOP\"}\r\n{\"return\": {\"fdset-id\": 4}}", r#"{"return": 7}"#];
        let qemu = qemu(&path, answers);
        let ctx = ctx(dir.path());
        let mut qmp = Qmp::over(&ctx, &path, None).unwrap();
        let file = tempfile::tempfile().unwrap();
        assert_eq!(qmp.add_fd(file.as_fd()).unwrap(), 4);
        assert_eq!(qmp.execute("x", json!({ "enable": true })).unwrap(), 7);
        let commands = qemu.join().unwrap();
        assert_eq!(commands[1], json!({ "execute": "add-fd" }));
        assert_eq!(commands[2], json!({ "execute": "x", "arguments": { "enable": true } }));
    }

    #[test]
    fn what_qemu_refuses_is_told_in_its_words() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("qmp");
        let refusal = r#"{"error": {"class": "CommandNotFound", "desc": "The command y has not been found"}}"#;
        let qemu = qemu(&path, [r#"{"return": {}}"#, refusal]);
        let ctx = ctx(dir.path());
        let mut qmp = Qmp::over(&ctx, &path, None).unwrap();
        let error = qmp.execute("y", Value::Null).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::QmpCommandNotFound);
        assert_eq!(error.to_string(), "QMP y: QEMU says: The command y has not been found");
        qemu.join().unwrap();
        let ended = qmp.execute("z", Value::Null).unwrap_err().to_string();
        assert!(ended.contains("ended") || ended.contains("Broken pipe"), "{ended}");
    }

    #[test]
    fn a_socket_without_a_qemu_is_told_by_its_name() {
        let dir = tempfile::tempdir().unwrap();
        let error = Qmp::over(&ctx(dir.path()), &dir.path().join("none"), None).err().unwrap().to_string();
        assert!(error.contains("/none: No such file"), "{error}");
    }
}
