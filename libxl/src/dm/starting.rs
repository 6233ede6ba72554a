//! Starting QEMU: it is a daemon that tells xenstore when it is ready.

use super::CONSOLE_LIMIT;
use crate::ctx::Ctx;
use crate::error::{Error, ErrorKind, Result, ResultExt};
use crate::event::{self, Deadline, Source};
use crate::exec::{Child, Program};
use crate::logfile;
use crate::xenstore::{Batch, Store, Watch, optional};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::fd::{AsFd, AsRawFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long it may take (`LIBXL_DEVICE_MODEL_START_TIMEOUT`).
const TIMEOUT: Duration = Duration::from_secs(60);
/// As much of the end of its log as is looked at, in bytes.
const LOG_END: u64 = 1000;

/// What to start.
pub(super) struct Launch {
    pub program: PathBuf,
    pub arguments: Vec<String>,
    /// Variables of its environment, beside those of this process.
    pub environment: Vec<(&'static str, String)>,
    /// The name of its log.
    pub log: String,
    /// Its directory in xenstore, where it writes its state.
    pub directory: String,
    /// Where its process is written down, for whoever ends it.
    pub pid_node: String,
    /// The state of the QEMU that it takes over from.
    pub state: Option<File>,
}

/// A QEMU that is not ready yet. Dropped, it is killed.
pub(super) struct Starting {
    child: Child,
    state: Watch,
    log: PathBuf,
    deadline: Deadline,
}

impl Starting {
    pub(super) fn new(ctx: &Ctx, launch: &Launch) -> Result<Starting> {
        let (log, path) = logfile::create(ctx, &launch.log)?;
        let xs = ctx.xs()?;
        let state = format!("{}/state", launch.directory);
        let mut batch = Batch::new();
        batch.rm(&state).mkdir(&launch.directory); // one that crashed may have left its state
        for answer in xs.submit(batch)? {
            optional(answer)?;
        }
        let state = xs.watch(&state)?;
        let mut program = Program::new(&launch.program).args(&launch.arguments).env(CONSOLE_LIMIT.0, CONSOLE_LIMIT.1);
        for (name, value) in &launch.environment {
            program = program.env(name, value);
        }
        if let Some(state) = &launch.state {
            let state = state.try_clone().context("QEMU's state")?;
            program = program.args(["-incoming".into(), format!("fd:{}", state.as_raw_fd())]).pass_fd(state.into());
        }
        let stdout = log.try_clone().with_context(|| path.display().to_string())?;
        let child = program.stdout(stdout).stderr(log).new_session().spawn()?;
        xs.run_atomic(|batch: &mut Batch| _ = batch.write(&launch.pid_node, child.pid().to_string()))?;
        Ok(Starting { child, state, log: path, deadline: Deadline::after(TIMEOUT) })
    }

    /// Returns when it is ready; from then on it lives on its own.
    pub(super) fn wait(mut self, ctx: &Ctx) -> Result<()> {
        while !self.is_ready(ctx)? {
            event::wait(ctx, &self.sources(), self.deadline)?;
        }
        self.child.release();
        Ok(())
    }

    /// What to wait for until [`Starting::is_ready`] is asked again.
    pub(super) fn sources(&self) -> [Source<'_>; 2] {
        [Source::Watch(&self.state), Source::Readable(self.child.as_fd())]
    }

    /// Until when to wait.
    pub(super) fn deadline(&self) -> Deadline {
        self.deadline
    }

    /// The process, for a parent that stays.
    pub(super) fn into_child(self) -> Child {
        self.child
    }

    /// Whether it is ready.
    ///
    /// # Errors
    /// That it has ended, or takes too long.
    pub(super) fn is_ready(&mut self, ctx: &Ctx) -> Result<bool> {
        self.state.take();
        if ctx.xs()?.read_optional(self.state.path())?.as_deref() == Some("running") {
            return Ok(true);
        }
        let seconds = TIMEOUT.as_secs();
        match self.child.status()? {
            Some(status) => Err(Error::fail(format!("{} ended ({status}): {}", self.child.name(), self.last_words()))),
            None if self.deadline.passed() => {
                let what = format!("it did not get ready within {seconds} seconds: {}", self.last_words());
                Err(Error::new(ErrorKind::TimedOut, what))
            }
            None => Ok(false),
        }
    }

    fn last_words(&self) -> String {
        let line = last_line(&self.log).unwrap_or_default();
        let shown = self.log.display();
        if line.is_empty() { format!("its log {shown} is empty") } else { format!("{line} (log: {shown})") }
    }
}

/// The last line of a file, as far as it is text.
pub(super) fn last_line(path: &Path) -> Option<String> {
    let mut file = File::open(path).ok()?;
    let length = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(LOG_END))).ok()?;
    let mut end = Vec::new();
    file.take(LOG_END).read_to_end(&mut end).ok()?;
    let text = String::from_utf8_lossy(&end);
    Some(text.lines().rev().find(|line| !line.trim().is_empty())?.trim().to_owned())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::paths::Paths;
    use crate::xenstore::fake::Fake;
    use libxc::DomId;
    use nix::sys::signal::{Signal, kill};
    use nix::unistd::Pid;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    /// Puts a program there in place of QEMU.
    pub(crate) fn install(dir: &Path, body: &str) -> PathBuf {
        let program = dir.join("qemu");
        fs::write(&program, format!("#!/bin/sh\n{body}\n")).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        program
    }

    fn launch(dir: &Path, body: &str) -> Launch {
        Launch {
            program: install(dir, body),
            arguments: vec!["-xen-domid".into(), "3".into()],
            environment: Vec::new(),
            log: "qemu-dm-web".into(),
            directory: crate::xenstore::schema::device_model(DomId(0), DomId(3)),
            pid_node: "/local/domain/3/image/device-model-pid".into(),
            state: None,
        }
    }

    /// A host whose files are below this directory.
    pub(crate) fn host(dir: &Path) -> (Fake, Ctx) {
        let fake = Fake::new();
        let mut ctx = fake.ctx();
        ctx.paths = Paths::installed(Path::new("/usr")).rooted(dir);
        fs::create_dir_all(&ctx.paths.log).unwrap();
        (fake, ctx)
    }

    #[test]
    fn one_that_is_ready_lives_on_without_us() {
        let dir = tempfile::tempdir().unwrap();
        let (fake, ctx) = host(dir.path());
        let launch = launch(dir.path(), "echo \"$*\"; exec sleep 1000");
        let qemu = Starting::new(&ctx, &launch).unwrap();
        let pid = String::from_utf8(fake.get(&launch.pid_node).unwrap()).unwrap();
        fake.set(&format!("{}/state", launch.directory), b"running");
        qemu.wait(&ctx).unwrap();
        assert!(Path::new(&format!("/proc/{pid}")).exists());
        kill(Pid::from_raw(pid.parse().unwrap()), Signal::SIGKILL).unwrap();
    }

    #[test]
    fn one_that_takes_over_can_read_the_state_of_the_other() {
        let dir = tempfile::tempdir().unwrap();
        let (fake, ctx) = host(dir.path());
        let body = "for last; do :; done; cat /proc/self/fd/${last#fd:} > \"${0%/*}/read\"; echo $3; exit 1";
        let mut launch = launch(dir.path(), body);
        fs::write(dir.path().join("state"), "QEVM").unwrap();
        launch.state = Some(File::open(dir.path().join("state")).unwrap());
        let error = Starting::new(&ctx, &launch).unwrap().wait(&ctx).unwrap_err().to_string();
        assert!(error.contains("-incoming"), "{error}");
        assert_eq!(fs::read_to_string(dir.path().join("read")).unwrap(), "QEVM");
        drop(fake);
    }

    #[test]
    fn one_that_ends_is_told_with_its_last_words() {
        let dir = tempfile::tempdir().unwrap();
        let (_fake, ctx) = host(dir.path());
        let launch = launch(dir.path(), "echo starting; echo \"bad image $2\" >&2; exit 1");
        let error = Starting::new(&ctx, &launch).unwrap().wait(&ctx).unwrap_err().to_string();
        assert!(error.contains("ended (exit status: 1): bad image 3 (log: "), "{error}");
    }
}
