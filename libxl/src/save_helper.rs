//! Running `libxl-save-helper`, which copies a guest's memory and processors in a process of its own: it can be
//! stopped at any moment, and it may be stock Xen's. The protocol is libxc's ([`libxc::migrate::protocol`]).

use crate::Ctx;
use crate::error::{Error, ErrorKind, Result, ResultExt};
use crate::event::{self, Deadline, Source, Woken};
use crate::exec::{Child, Program};
use libxc::migrate::protocol::{Message, level, receive, send_reply};
use nix::errno::Errno;
use nix::sys::signal::Signal;
use std::io::{self, PipeReader, PipeWriter};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::process::Stdio;
use std::time::Duration;

/// The answer to "suspend the guest" that says it is suspended; to the other questions 0 is the good answer.
const SUSPENDED: i32 = 1;
const NOT_SUSPENDED: i32 = 0;
const DONE: i32 = 0;
const FAILED: i32 = -1;
/// The answers at a checkpoint (`XGR_CHECKPOINT_ERROR`, `_SUCCESS`, `_FAILOVER`; xenguest.h).
const STOPS: i32 = 0;
const GOES_ON: i32 = 1;
const TAKES_OVER: i32 = 2;
/// How long the helper may take to end once its last message was answered.
const LAST_WORDS: Duration = Duration::from_secs(10);

/// What the helper asks for while it works.
pub(crate) trait Questions {
    /// Suspends the guest.
    fn suspend(&mut self) -> Result<()>;
    /// Makes the device model note what it writes, or stop noting.
    fn log_dirty_devices(&mut self, enable: bool) -> Result<()>;
    /// What never changes has been restored; bit 0 of `missing`: there was no CPUID policy.
    fn static_data_done(&mut self, missing: u32) -> Result<()>;
    /// The guest may go on after a checkpoint.
    fn go_on(&mut self) -> Result<()>;
    /// A checkpoint is in the stream, and libxl's records belong there: writes or reads them. A save goes on with the next
    /// checkpoint once it is answered.
    fn checkpoint(&mut self) -> Result<Checkpoint>;
    /// How far it is: `done` of `total`; both 0 for a mere step.
    fn progress(&mut self, what: &str, done: u64, total: u64);
}

/// What becomes of a stream at a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Checkpoint {
    /// It is whole, and the next one follows.
    Whole,
    /// The stream ends within it: the guest is to go on from the one before (restores only).
    Lost,
}

/// Why a question of checkpoints is out of place.
pub(crate) fn no_checkpoints() -> Error {
    Error::fail("the save helper speaks of checkpoints in a stream that has none")
}

/// Where the helper found the rings of a restored guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rings {
    /// The frame of the ring to xenstored.
    pub(crate) store: u64,
    /// The frame of the console's ring.
    pub(crate) console: u64,
}

/// Runs the helper on a stream: `mode` and then the arguments that follow the stream's descriptor.
///
/// When the context's [`Cancel`](crate::event::Cancel) fires, or at the deadline, the helper is told to stop and puts the
/// guest in order.
///
/// # Errors
/// Whatever failed first: a question, or what the helper itself says.
pub(crate) fn run(
    ctx: &Ctx,
    mode: &str,
    stream: BorrowedFd<'_>,
    arguments: &[String],
    questions: &mut dyn Questions,
    deadline: Deadline,
) -> Result<Option<Rings>> {
    let mut helper = Helper::start(ctx, mode, stream, arguments)?;
    let mut told = Told::default();
    let talked = helper.talk(ctx, questions, deadline, &mut told);
    let ended = helper.end(ctx);
    // The first cause is the one to tell: what libxl failed at, what the helper failed at, how it ended.
    talked?;
    match ended {
        // It could not even say that it failed.
        Err(died) if told.complete.is_none() && told.error.is_none() => Err(died),
        ended => told.outcome().and_then(|rings| ended.map(|()| rings)),
    }
}

struct Helper {
    child: Child,
    messages: PipeReader,
    answers: PipeWriter,
}

/// What the helper has told so far.
#[derive(Default)]
struct Told {
    /// Its first error.
    error: Option<String>,
    rings: Option<Rings>,
    /// How it went, and the errno of that.
    complete: Option<(i32, i32)>,
}

impl Helper {
    fn start(ctx: &Ctx, mode: &str, stream: BorrowedFd<'_>, arguments: &[String]) -> Result<Helper> {
        let stream = stream.try_clone_to_owned().context("the stream")?;
        let (messages, their_messages) = io::pipe().context("a pipe for the save helper")?;
        let (their_answers, answers) = io::pipe().context("a pipe for the save helper")?;
        let child = Program::new(&ctx.paths.save_helper)
            .arg(mode)
            .arg(stream.as_raw_fd().to_string())
            .args(arguments)
            .stdin(their_answers)
            .stdout(their_messages)
            .stderr(Stdio::inherit())
            .pass_fd(stream)
            .outlived(Signal::SIGTERM)
            .spawn()?;
        Ok(Helper { child, messages, answers })
    }

    /// Hears the helper out and answers its questions.
    fn talk(
        &mut self,
        ctx: &Ctx,
        questions: &mut dyn Questions,
        mut deadline: Deadline,
        told: &mut Told,
    ) -> Result<()> {
        let mut failed = None;
        loop {
            let stop = match event::wait(ctx, &[Source::Readable(self.messages.as_fd())], deadline) {
                Ok(Woken::By(_)) => None,
                Ok(Woken::TimedOut) => Some(Error::new(ErrorKind::TimedOut, "the time that it may take is over")),
                Err(e) => Some(e),
            };
            if let Some(e) = stop {
                if failed.is_some() || !matches!(e.kind(), ErrorKind::Aborted | ErrorKind::TimedOut) {
                    return Err(failed.unwrap_or(e));
                }
                self.child.signal(Signal::SIGTERM)?;
                (failed, deadline) = (Some(e), Deadline::NEVER);
                continue;
            }
            let message = receive(&mut self.messages).context("hearing the save helper");
            let Some(message) = message? else { return failed.map_or(Ok(()), Err) };
            let wants_reply = message.wants_reply();
            let reply = match told.hear(message, questions) {
                Ok(reply) => reply,
                Err((reply, e)) => {
                    failed.get_or_insert(e);
                    // It is heard out: it puts the guest in order now.
                    deadline = Deadline::NEVER;
                    reply
                }
            };
            // A helper that is gone shows as the end of its messages.
            if wants_reply && let Err(e) = send_reply(&mut self.answers, reply) {
                tracing::debug!("answering the save helper: {e}");
            }
        }
    }

    fn end(self, ctx: &Ctx) -> Result<()> {
        drop((self.messages, self.answers));
        self.child.wait_success(ctx, Deadline::after(LAST_WORDS))
    }
}

impl Told {
    /// Takes a message in; the answer to it, and the error if that is a bad one.
    fn hear(&mut self, message: Message, questions: &mut dyn Questions) -> Result<i32, (i32, Error)> {
        match message {
            Message::Log { level, errno, text, .. } => self.log(level, errno, text),
            Message::Progress { what, done, total, .. } => questions.progress(&what, done, total),
            Message::Suspend {} => {
                return questions.suspend().map(|()| SUSPENDED).map_err(|e| (NOT_SUSPENDED, e));
            }
            Message::SwitchQemuLogdirty { enable, .. } => {
                return questions.log_dirty_devices(enable != 0).map(|()| DONE).map_err(|e| (FAILED, e));
            }
            Message::StaticDataDone { missing } => {
                return questions.static_data_done(missing).map(|()| DONE).map_err(|e| (FAILED, e));
            }
            Message::RestoreResults { store_gfn, console_gfn } => {
                self.rings = Some(Rings { store: store_gfn, console: console_gfn });
            }
            Message::Complete { retval, errno } => self.complete = Some((retval, errno)),
            Message::Postcopy {} => return questions.go_on().map(|()| GOES_ON).map_err(|e| (STOPS, e)),
            Message::Checkpoint {} => {
                let answer = questions.checkpoint().map_err(|e| (STOPS, e))?;
                return Ok(if answer == Checkpoint::Whole { GOES_ON } else { TAKES_OVER });
            }
            Message::WaitCheckpoint {} => return Err((STOPS, Error::fail("the save helper speaks of COLO"))),
        }
        Ok(DONE)
    }

    fn log(&mut self, level: u32, errno: i32, text: String) {
        let text = match errno {
            -1 | 0 => text,
            number => format!("{text}: {}", Errno::from_raw(number).desc()),
        };
        match level {
            level::ERROR.. => {
                self.error.get_or_insert(text);
            }
            level::WARN => tracing::warn!("{text}"),
            _ => tracing::debug!("{text}"),
        }
    }

    fn outcome(self) -> Result<Option<Rings>> {
        match self.complete {
            Some((0, _)) => Ok(self.rings),
            Some((_, errno)) => {
                Err(Error::fail(self.error.unwrap_or_else(|| Errno::from_raw(errno).desc().to_owned())))
            }
            None => Err(Error::fail(self.error.unwrap_or_else(|| "the save helper ended too early".into()))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::paths::Paths;
    use std::fs::{self, File, Permissions};
    use std::os::unix::fs::PermissionsExt;

    /// A context whose save helper is this shell script.
    fn ctx(dir: &tempfile::TempDir, script: &str) -> Ctx {
        let helper = dir.path().join("helper");
        fs::write(&helper, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&helper, Permissions::from_mode(0o755)).unwrap();
        Ctx::new(Paths { save_helper: helper, ..Paths::installed("/usr".as_ref()) })
    }

    #[derive(Default)]
    struct Asked {
        suspended: u32,
        gone_on: u32,
        refuse: bool,
        checkpoints: Vec<Checkpoint>,
        progress: Vec<(String, u64, u64)>,
    }

    impl Questions for Asked {
        fn suspend(&mut self) -> Result<()> {
            self.suspended += 1;
            if self.refuse { Err(Error::fail("it does not answer")) } else { Ok(()) }
        }
        fn log_dirty_devices(&mut self, _: bool) -> Result<()> {
            Ok(())
        }
        fn static_data_done(&mut self, _: u32) -> Result<()> {
            Ok(())
        }
        fn go_on(&mut self) -> Result<()> {
            self.gone_on += 1;
            Ok(())
        }
        fn checkpoint(&mut self) -> Result<Checkpoint> {
            self.checkpoints.pop().ok_or_else(no_checkpoints)
        }
        fn progress(&mut self, what: &str, done: u64, total: u64) {
            self.progress.push((what.into(), done, total));
        }
    }

    fn helper(script: &str, asked: &mut Asked) -> Result<Option<Rings>> {
        let dir = tempfile::tempdir().unwrap();
        let ctx = ctx(&dir, script);
        // Starting a script just written can meet ETXTBSY while another test forks.
        let stream = File::open("/dev/null").unwrap();
        run(&ctx, "--save-domain", stream.as_fd(), &["1".into()], asked, Deadline::NEVER)
    }

    /// Messages in the octal form of printf(1).
    const SUSPEND: &str = r"\002\000\003\000";
    const POSTCOPY: &str = r"\002\000\004\000";
    const CHECKPOINT: &str = r"\002\000\005\000";
    const COMPLETE: &str = r"\012\000\012\000\000\000\000\000\000\000\000\000";
    const FAILURE: &str = r"\012\000\012\000\377\377\377\377\034\000\000\000";
    const ANSWER: &str = "head -c 4 > /dev/null";

    #[test]
    fn questions_are_answered_and_the_end_is_awaited() {
        let mut asked = Asked::default();
        let script = format!(
            "test $1 = --save-domain && test -e /proc/self/fd/$2 && test $3 = 1 || exit 9\n\
             printf '{SUSPEND}'; test $(head -c 4 | od -An -td4) = 1 || exit 8\nprintf '{COMPLETE}'; {ANSWER}"
        );
        assert_eq!(helper(&script, &mut asked).unwrap(), None);
        assert_eq!(asked.suspended, 1);
    }

    #[test]
    fn checkpoints_are_answered_as_stock_libxl_answers_them() {
        let checkpoints = vec![Checkpoint::Lost, Checkpoint::Whole];
        let mut asked = Asked { checkpoints, ..Asked::default() };
        let answered = |answer| format!("test $(head -c 4 | od -An -td4) = {answer} || exit 8");
        let (goes_on, takes_over, stops) = (answered(1), answered(2), answered(0));
        let script = format!(
            "printf '{POSTCOPY}'; {goes_on}\nprintf '{CHECKPOINT}'; {goes_on}\nprintf '{CHECKPOINT}'; {takes_over}\n\
             printf '{CHECKPOINT}'; {stops}\nprintf '{COMPLETE}'; {ANSWER}"
        );
        assert_eq!(helper(&script, &mut asked).unwrap_err().to_string(), no_checkpoints().to_string());
        assert_eq!((asked.gone_on, asked.checkpoints.len()), (1, 0));
    }

    #[test]
    fn what_libxl_failed_at_comes_before_what_the_helper_says_of_it() {
        let mut asked = Asked { refuse: true, ..Asked::default() };
        let script = format!("printf '{SUSPEND}'; {ANSWER}; printf '{FAILURE}'; {ANSWER}");
        assert_eq!(helper(&script, &mut asked).unwrap_err().to_string(), "it does not answer");
    }

    #[test]
    fn at_the_deadline_the_helper_is_told_to_stop_and_heard_out() {
        let dir = tempfile::tempdir().unwrap();
        let script = format!("trap \"printf '{FAILURE}'; {ANSWER}; exit 0\" TERM; while :; do sleep 0.05; done");
        let (ctx, stream) = (ctx(&dir, &script), File::open("/dev/null").unwrap());
        let soon = Deadline::after(Duration::from_millis(200));
        let error = run(&ctx, "--save-domain", stream.as_fd(), &[], &mut Asked::default(), soon).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
    }

    #[test]
    fn a_failure_without_words_is_told_by_its_errno() {
        let script = format!("printf '{FAILURE}'; {ANSWER}");
        let error = helper(&script, &mut Asked::default()).unwrap_err();
        assert_eq!(error.to_string(), "No space left on device");
    }

    #[test]
    fn a_helper_that_dies_or_speaks_nonsense_is_an_error() {
        let error = helper("kill -9 $$", &mut Asked::default()).unwrap_err().to_string();
        assert!(error.contains("SIGKILL"), "{error}");
        let error = helper("exit 0", &mut Asked::default()).unwrap_err().to_string();
        assert_eq!(error, "the save helper ended too early");
        assert!(helper("printf 'xxxxxxxxxx'", &mut Asked::default()).is_err());
        assert!(helper(&format!("printf '{COMPLETE}'; {ANSWER}; exit 3"), &mut Asked::default()).is_err());
    }
}
