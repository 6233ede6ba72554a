//! Watches: xenstored says when something at or below a path has changed.
//!
//! An event is a hint, not news: who gets one reads the state again. So equal events that wait are
//! one event, and when a guest floods a watched directory, all its events become one for the watched
//! path itself.

use super::wire::{Kind, check_path};
use super::{Batch, Client, Store};
use std::collections::HashMap;
use std::io;

/// Names a watch among those of its client; its number is the token that xenstored repeats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct WatchId(u64);

/// A watch. Dropped, it ends, and its events that still wait are forgotten.
#[derive(Debug)]
pub struct Watch {
    client: Client,
    id: WatchId,
    path: String,
}

impl Watch {
    /// The watched path.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The connection that it is on.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Takes the paths that changed, from the events received so far: nodes at or below the watched
    /// path, or the watched path itself at first and when its parent was removed. Receives nothing.
    pub fn take(&self) -> Vec<String> {
        self.client.lock().watches.take(self.id)
    }

    /// Whether events received so far wait to be taken.
    pub fn is_pending(&self) -> bool {
        self.client.lock().watches.is_pending(self.id)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut batch = Batch::new();
        self.client.token_request(&mut batch, Kind::Unwatch, &self.path, self.id);
        // If xenstored cannot be told, then the connection is gone and the watch with it.
        if let Err(error) = self.client.run(batch) {
            tracing::debug!(path = self.path, %error, "unwatch");
        }
        self.client.lock().watches.forget(self.id);
    }
}

impl Client {
    /// Watches a node and all below it, or `@introduceDomain`, `@releaseDomain`.
    ///
    /// One event comes at once, so that the state is read for the first time after the watch is set.
    pub fn watch(&self, path: &str) -> io::Result<Watch> {
        Ok(self.watch_and(path, Batch::new())?.0)
    }

    /// Watches, then does what the batch says, all in one wait. What the batch reads is at least as
    /// new as the watch, so the watch's first event is dropped.
    pub fn watch_and(&self, path: &str, then: Batch) -> io::Result<(Watch, Vec<io::Result<Vec<u8>>>)> {
        let reads = !then.is_empty();
        let id = self.lock().watches.add(path);
        let mut batch = Batch::new();
        self.token_request(&mut batch, Kind::Watch, path, id);
        batch.append(then);
        match self.submit(batch).and_then(first_succeeded) {
            Ok(answers) => {
                let watch = Watch { client: self.clone(), id, path: path.to_owned() };
                if reads {
                    self.lock().watches.drop_first(id);
                }
                Ok((watch, answers))
            }
            Err(e) => {
                self.lock().watches.forget(id);
                Err(e)
            }
        }
    }

    /// Takes in the watch events that have arrived, without waiting. To wait, poll the client's
    /// descriptor: but events also arrive while other requests are being answered, so ask
    /// [`Watch::is_pending`] first. [`crate::event::wait`] does all this.
    pub fn receive_events(&self) -> io::Result<()> {
        self.lock().receive_events(self.transport())
    }

    fn token_request(&self, batch: &mut Batch, kind: Kind, path: &str, id: WatchId) {
        match check_path(path) {
            Ok(()) => batch.request(kind, &[path.as_bytes(), &[0], id.0.to_string().as_bytes(), &[0]]),
            Err(e) => batch.refuse(e),
        };
    }
}

fn first_succeeded(mut answers: Vec<io::Result<Vec<u8>>>) -> io::Result<Vec<io::Result<Vec<u8>>>> {
    if !answers.is_empty() {
        answers.remove(0)?;
    }
    Ok(answers)
}

/// More waiting events of one watch than this become one.
const MAX_WAITING: usize = 128;

/// The watches that exist and the events that wait to be taken.
#[derive(Debug, Default)]
pub(crate) struct Watches {
    last: u64,
    by_id: HashMap<WatchId, Watched>,
}

#[derive(Debug)]
struct Watched {
    path: String,
    /// The changed paths, each once.
    changed: Vec<String>,
    /// Whether the event that comes with every new watch is unwanted and still to come.
    drop_first: bool,
    /// How many events have come.
    fired: u64,
}

impl Watches {
    /// Makes a new watch known, before xenstored is asked for it: its first event comes at once.
    fn add(&mut self, path: &str) -> WatchId {
        self.last += 1;
        let id = WatchId(self.last);
        let watched = Watched { path: path.to_owned(), changed: Vec::new(), drop_first: false, fired: 0 };
        self.by_id.insert(id, watched);
        id
    }

    fn forget(&mut self, id: WatchId) {
        self.by_id.remove(&id);
    }

    /// Drops the event that tells of the new watch itself, if it has come or when it comes.
    fn drop_first(&mut self, id: WatchId) {
        let Some(watched) = self.by_id.get_mut(&id) else { return };
        match watched.fired {
            0 => watched.drop_first = true,
            1 => watched.changed.clear(),
            // Equal events are one: among these may be a change that came after what was read.
            _ => {}
        }
    }

    /// Queues an event; one of a watch that has ended is dropped.
    pub(crate) fn push(&mut self, path: String, token: &str) {
        let Some(watched) = token.parse().ok().and_then(|number| self.by_id.get_mut(&WatchId(number))) else { return };
        watched.fired += 1;
        if std::mem::take(&mut watched.drop_first) && path == watched.path || watched.changed.contains(&path) {
            return;
        }
        if watched.changed.len() == MAX_WAITING {
            watched.changed = vec![watched.path.clone()];
        } else {
            watched.changed.push(path);
        }
    }

    fn take(&mut self, id: WatchId) -> Vec<String> {
        self.by_id.get_mut(&id).map(|watched| std::mem::take(&mut watched.changed)).unwrap_or_default()
    }

    fn is_pending(&self, id: WatchId) -> bool {
        self.by_id.get(&id).is_some_and(|watched| !watched.changed.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(id: WatchId) -> String {
        id.0.to_string()
    }

    #[test]
    fn equal_events_are_one_and_ended_watches_are_silent() {
        let mut watches = Watches::default();
        let id = watches.add("/a");
        for _ in 0..3 {
            watches.push("/a/b".into(), &token(id));
        }
        watches.push("/a".into(), "77");
        watches.push("/a".into(), "no number");
        assert_eq!(watches.take(id), ["/a/b"]);
        assert!(!watches.is_pending(id));
        watches.forget(id);
        watches.push("/a/b".into(), &token(id));
        assert!(watches.take(id).is_empty());
    }

    #[test]
    fn a_flood_becomes_one_event_for_the_whole() {
        let mut watches = Watches::default();
        let (flooded, quiet) = (watches.add("/guest"), watches.add("/quiet"));
        watches.push("/quiet".into(), &token(quiet));
        for i in 0..10 * MAX_WAITING {
            watches.push(format!("/guest/{i}"), &token(flooded));
        }
        let events = watches.take(flooded);
        assert!(events.len() <= MAX_WAITING, "{}", events.len());
        assert!(events.contains(&"/guest".to_owned()));
        assert_eq!(watches.take(quiet), ["/quiet"]);
    }

    #[test]
    fn the_first_event_can_be_dropped_early_or_late() {
        let mut watches = Watches::default();
        let (early, late) = (watches.add("/a"), watches.add("/b"));
        watches.push("/a".into(), &token(early));
        watches.drop_first(early);
        watches.drop_first(late);
        watches.push("/b".into(), &token(late));
        assert!(!watches.is_pending(early) && !watches.is_pending(late));
        watches.push("/b".into(), &token(late));
        assert!(watches.is_pending(late), "only the first is dropped");

        let both = watches.add("/c");
        watches.push("/c".into(), &token(both));
        watches.push("/c".into(), &token(both));
        watches.drop_first(both);
        assert!(watches.is_pending(both), "the second may tell of a change");
    }
}
