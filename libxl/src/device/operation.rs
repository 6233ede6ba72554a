//! Several device operations at once: each goes on when its own event comes, and all are waited for together.

use crate::ctx::Ctx;
use crate::error::{Error, Result};
use crate::event::{self, Deadline, Source};

/// How far an operation has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// It waits for what [`Operation::waits_for`] says.
    Waiting,
    /// It has ended.
    Done,
}

/// Adding or removing one device, in steps that do not wait.
pub(super) trait Operation {
    /// Does what can be done now.
    fn step(&mut self, ctx: &Ctx) -> Result<Progress>;

    /// What the next step needs, and until when it is worth waiting for it; none if it can be done at once.
    fn waits_for(&self) -> Option<(Source<'_>, Deadline)>;
}

/// Runs operations to their ends, all of them whatever becomes of the others.
///
/// # Errors
/// The first failure, those of other operations as its notes. `Aborted` at once if the context was cancelled.
pub(super) fn run(ctx: &Ctx, mut running: Vec<impl Operation>) -> Result<()> {
    let mut failure: Option<Error> = None;
    loop {
        running.retain_mut(|operation| match operation.step(ctx) {
            Ok(progress) => progress == Progress::Waiting,
            Err(e) => {
                failure = Some(match failure.take() {
                    None => e,
                    Some(first) => first.note(e.to_string()),
                });
                false
            }
        });
        if running.is_empty() {
            return failure.map_or(Ok(()), Err);
        }
        let waits: Option<Vec<_>> = running.iter().map(Operation::waits_for).collect();
        if let Some(waits) = waits {
            let (sources, deadlines): (Vec<_>, Vec<_>) = waits.into_iter().unzip();
            event::wait(ctx, &sources, deadlines.into_iter().fold(Deadline::NEVER, Deadline::earlier))?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::paths::Paths;
    use std::cell::RefCell;
    use std::io::PipeReader;
    use std::os::fd::AsFd;
    use std::path::Path;
    use std::time::Duration;

    /// Ends at its `steps`-th step, well or badly.
    struct Counted<'a> {
        steps: u32,
        fails: bool,
        ended: &'a RefCell<Vec<u32>>,
        never: &'a PipeReader,
    }

    impl Operation for Counted<'_> {
        fn step(&mut self, _: &Ctx) -> Result<Progress> {
            self.steps -= 1;
            if self.steps > 0 {
                return Ok(Progress::Waiting);
            }
            self.ended.borrow_mut().push(1);
            if self.fails {
                Err(Error::fail(format!("failure {}", self.ended.borrow().len())))
            } else {
                Ok(Progress::Done)
            }
        }

        fn waits_for(&self) -> Option<(Source<'_>, Deadline)> {
            Some((Source::Readable(self.never.as_fd()), Deadline::after(Duration::from_millis(5))))
        }
    }

    #[test]
    fn all_end_and_the_first_failure_is_told() {
        let ctx = Ctx::new(Paths::installed(Path::new("/usr")));
        let (never, _writer) = std::io::pipe().unwrap();
        let ended = RefCell::new(Vec::new());
        let of = |steps, fails| Counted { steps, fails, ended: &ended, never: &never };
        run(&ctx, Vec::<Counted<'_>>::new()).unwrap();
        let error = run(&ctx, vec![of(3, true), of(1, false), of(2, true), of(4, false)]).unwrap_err();
        assert_eq!(ended.borrow().len(), 4);
        assert_eq!((error.to_string().as_str(), error.notes()), ("failure 2", &["failure 3".to_owned()][..]));
    }
}
