//! What must be taken back if a step fails.

use crate::{Error, Result};

/// Takes one outside effect back.
type Step<'a> = Box<dyn FnOnce() -> Result<()> + 'a>;

/// The outside effects so far of work in several steps, with how to take each back.
///
/// A domain, a xenstore node or a file does not go away with the value that stands for it, and a process
/// that is told to stop must still leave nothing behind: each step puts its reverse on this list, and
/// [`Undo::fail`] runs them, last first.
#[derive(Default)]
pub(super) struct Undo<'a> {
    steps: Vec<(&'static str, Step<'a>)>,
}

impl<'a> Undo<'a> {
    /// Nothing to take back yet.
    pub(super) fn new() -> Undo<'a> {
        Undo::default()
    }

    /// Notes how to take back what has just been done; `name` tells what that is, as in "removing {name}".
    pub(super) fn push(&mut self, name: &'static str, step: impl FnOnce() -> Result<()> + 'a) {
        self.steps.push((name, Box::new(step)));
    }

    /// Takes everything back and returns the error that made this necessary. Steps that fail become its
    /// notes: the first error is the one that matters.
    pub(super) fn fail(self, error: Error) -> Error {
        self.steps.into_iter().rev().fold(error, |error, (name, step)| match step() {
            Ok(()) => error,
            Err(e) => error.note(format!("removing {name}: {e}")),
        })
    }

    /// Keeps everything: the work is done.
    pub(super) fn keep(self) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    #[test]
    fn takes_back_in_reverse_and_keeps_the_first_error() {
        let log = RefCell::new(Vec::new());
        let mut undo = Undo::new();
        undo.push("the domain", || {
            log.borrow_mut().push("domain");
            Ok(())
        });
        undo.push("its nodes", || {
            log.borrow_mut().push("nodes");
            Err(Error::fail("no xenstored"))
        });
        let error = undo.fail(Error::fail("no memory"));
        assert_eq!(*log.borrow(), ["nodes", "domain"]);
        assert_eq!(error.to_string(), "no memory");
        assert_eq!(error.notes(), ["removing its nodes: no xenstored"]);
    }

    #[test]
    fn kept_work_is_not_taken_back() {
        let mut undo = Undo::new();
        undo.push("the domain", || panic!("it was kept"));
        undo.keep();
    }
}
