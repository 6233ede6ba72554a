//! Watches: xenstored says when something at or below a path has changed.
//!
//! An event is a hint, not news: who gets one reads the state again. So equal events waiting in the
//! queue are one event, and when a guest floods a watched directory, all its events become one for the
//! watched path itself.

use super::Client;
use super::wire::Kind;
use std::collections::{HashMap, VecDeque};
use std::io;

/// Names a watch among those of its client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WatchId(u64);

impl WatchId {
    /// The token that xenstored repeats in events.
    pub(crate) fn token(self) -> String {
        self.0.to_string()
    }
}

/// Something may have changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchEvent {
    /// Whose watch it was.
    pub watch: WatchId,
    /// The node that changed, or the watched path: at first, and when the node's parent was removed.
    pub path: String,
}

/// A watch; dropped, it ends and its events that still wait are forgotten.
#[derive(Debug)]
pub struct Watch {
    pub(crate) client: Client,
    pub(crate) id: WatchId,
    pub(crate) path: String,
}

impl Watch {
    /// Its name in events.
    pub fn id(&self) -> WatchId {
        self.id
    }

    /// The watched path.
    pub fn path(&self) -> &str {
        &self.path
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // If xenstored cannot be told, then the connection is gone and the watch with it.
        if let Err(error) = self.client.path_token_request(Kind::Unwatch, &self.path, self.id) {
            tracing::debug!(path = self.path, %error, "unwatch");
        }
        self.client.lock().watches.forget(self.id);
    }
}

/// More waiting events than this of one watch become one.
const MAX_WAITING: usize = 128;

/// The watches that exist and the events that wait to be taken.
#[derive(Debug, Default)]
pub(crate) struct WatchQueue {
    last: u64,
    watched: HashMap<WatchId, Watched>,
    events: VecDeque<WatchEvent>,
}

#[derive(Debug)]
struct Watched {
    path: String,
    waiting: usize,
}

impl WatchQueue {
    /// Makes a new watch known, before xenstored is asked for it: its first event comes at once.
    pub(crate) fn add(&mut self, path: &str) -> WatchId {
        self.last += 1;
        let id = WatchId(self.last);
        self.watched.insert(id, Watched { path: path.to_owned(), waiting: 0 });
        id
    }

    pub(crate) fn forget(&mut self, id: WatchId) {
        self.watched.remove(&id);
        self.events.retain(|event| event.watch != id);
    }

    /// Queues an event; one of a watch that has ended is dropped.
    pub(crate) fn push(&mut self, path: String, token: &str) {
        let Ok(number) = token.parse() else { return };
        let watch = WatchId(number);
        let Some(watched) = self.watched.get_mut(&watch) else { return };
        let event = WatchEvent { watch, path };
        if self.events.contains(&event) {
            return;
        }
        if watched.waiting < MAX_WAITING {
            watched.waiting += 1;
            self.events.push_back(event);
        } else {
            let whole = WatchEvent { watch, path: watched.path.clone() };
            watched.waiting = 1;
            self.events.retain(|e| e.watch != watch);
            self.events.push_back(whole);
        }
    }

    /// Takes all events that wait, oldest first.
    pub(crate) fn take(&mut self) -> Vec<WatchEvent> {
        for watched in self.watched.values_mut() {
            watched.waiting = 0;
        }
        self.events.drain(..).collect()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.events.is_empty()
    }
}

impl Client {
    /// Watches a node and all below it, or `@introduceDomain`, `@releaseDomain`.
    ///
    /// One event comes at once, so that the state is read for the first time after the watch is set.
    pub fn watch(&self, path: &str) -> io::Result<Watch> {
        let id = self.lock().watches.add(path);
        match self.path_token_request(Kind::Watch, path, id) {
            Ok(()) => Ok(Watch { client: self.clone(), id, path: path.to_owned() }),
            Err(e) => {
                self.lock().watches.forget(id);
                Err(e)
            }
        }
    }

    /// Takes the watch events that have arrived; does not wait. To wait, poll the client's file
    /// descriptor, but only when [`Client::has_events`] says no: events also arrive while other requests
    /// are being answered.
    pub fn take_events(&self) -> io::Result<Vec<WatchEvent>> {
        self.lock().ready_events(self.transport())
    }

    /// Whether events wait that have been received already.
    pub fn has_events(&self) -> bool {
        !self.lock().watches.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_events_are_one_and_ended_watches_are_silent() {
        let mut queue = WatchQueue::default();
        let id = queue.add("/a");
        for _ in 0..3 {
            queue.push("/a/b".into(), &id.token());
        }
        queue.push("/a".into(), "77");
        queue.push("/a".into(), "no number");
        assert_eq!(queue.take(), [WatchEvent { watch: id, path: "/a/b".into() }]);
        queue.push("/a/b".into(), &id.token());
        queue.forget(id);
        assert!(queue.is_empty());
    }

    #[test]
    fn a_flood_becomes_one_event_for_the_whole() {
        let mut queue = WatchQueue::default();
        let flooded = queue.add("/guest");
        let quiet = queue.add("/quiet");
        queue.push("/quiet".into(), &quiet.token());
        for i in 0..10 * MAX_WAITING {
            queue.push(format!("/guest/{i}"), &flooded.token());
        }
        let events = queue.take();
        assert!(events.len() <= MAX_WAITING + 1, "{}", events.len());
        assert!(events.contains(&WatchEvent { watch: flooded, path: "/guest".into() }));
        assert!(events.contains(&WatchEvent { watch: quiet, path: "/quiet".into() }));
    }
}
