//! What can be done with nodes, in a transaction or outside: the byte-exact and pipelined operations
//! beside those of [`Xs`].

use super::wire::{Kind, strings};
use super::{Batch, Perms, errno};
use nix::errno::Errno;
use std::io;
use xenstore_rs::Xs;

/// A listing longer than this is refused: no honest directory comes near it.
const DIRECTORY_MAX: usize = 16 << 20;
/// A directory that changes so many times while it is being listed is given up.
const DIRECTORY_RESTARTS: u32 = 100;

/// Operations on nodes beyond [`Xs`]: values as bytes, permissions, many requests in one wait.
///
/// Errors are `io::Error`s as in [`Xs`], with xenstored's errno in [`errno`]: a missing node is
/// `ErrorKind::NotFound`.
pub trait Store: Xs {
    /// Sends all requests, waits once, and gives each one's answer, in order.
    fn submit(&self, batch: Batch) -> io::Result<Vec<io::Result<Vec<u8>>>>;

    /// Sends all requests, waits once; the first refusal is the error. xenstored has then still done
    /// the others: use a transaction where it must be all or nothing.
    fn run(&self, batch: Batch) -> io::Result<()> {
        self.submit(batch)?.into_iter().try_for_each(|answer| answer.map(drop))
    }

    /// The answer to the only request of a batch.
    fn submit_one(&self, batch: Batch) -> io::Result<Vec<u8>> {
        self.submit(batch)?.pop().unwrap_or_else(|| Ok(Vec::new()))
    }

    /// Reads a node's value byte for byte.
    fn read_bytes(&self, path: &str) -> io::Result<Vec<u8>> {
        let mut batch = Batch::new();
        batch.read(path);
        self.submit_one(batch)
    }

    /// Reads a node that may not exist. Bytes that are no UTF-8 are replaced.
    fn read_optional(&self, path: &str) -> io::Result<Option<String>> {
        optional(self.read_bytes(path)).map(|v| v.map(text))
    }

    /// Reads nodes that may not exist, in one wait. Bytes that are no UTF-8 are replaced.
    fn read_many<P: AsRef<str>>(&self, paths: impl IntoIterator<Item = P>) -> io::Result<Vec<Option<String>>>
    where
        Self: Sized,
    {
        let mut batch = Batch::new();
        for path in paths {
            batch.read(path.as_ref());
        }
        self.submit(batch)?.into_iter().map(|answer| optional(answer).map(|v| v.map(text))).collect()
    }

    /// Whether a node exists and may be read.
    fn exists(&self, path: &str) -> io::Result<bool> {
        optional(self.read_bytes(path)).map(|v| v.is_some())
    }

    /// Writes a value byte for byte.
    fn write_bytes(&self, path: &str, value: &[u8]) -> io::Result<()> {
        let mut batch = Batch::new();
        batch.write(path, value);
        self.run(batch)
    }

    /// Creates an empty node; no error if it exists.
    fn mkdir(&self, path: &str) -> io::Result<()> {
        let mut batch = Batch::new();
        batch.mkdir(path);
        self.run(batch)
    }

    /// Removes a node with all below it; no error if it does not exist.
    fn remove(&self, path: &str) -> io::Result<()> {
        let mut batch = Batch::new();
        batch.remove(path);
        self.run(batch)
    }

    /// The names of a node's children, however many; none if the node does not exist.
    fn children(&self, path: &str) -> io::Result<Vec<String>> {
        Ok(optional(list(self, path))?.unwrap_or_default())
    }

    /// Reads a node's permissions.
    fn get_perms(&self, path: &str) -> io::Result<Perms> {
        let mut batch = Batch::new();
        batch.get_perms(path);
        let payload = self.submit_one(batch)?;
        let entries: Vec<String> = strings(&payload).collect();
        Perms::from_entries(entries.iter().map(String::as_str))
            .map_err(|e| io::Error::new(io::ErrorKind::InvalidData, format!("permissions of {path} in xenstore: {e}")))
    }

    /// Sets a node's permissions.
    fn set_perms(&self, path: &str, perms: &Perms) -> io::Result<()> {
        let mut batch = Batch::new();
        batch.set_perms(path, perms);
        self.run(batch)
    }
}

/// Takes "no such node" for an answer.
pub fn optional<T>(answer: io::Result<T>) -> io::Result<Option<T>> {
    match answer {
        Ok(value) => Ok(Some(value)),
        Err(e) if errno(&e) == Some(Errno::ENOENT) => Ok(None),
        Err(e) => Err(e),
    }
}

fn text(value: Vec<u8>) -> String {
    String::from_utf8(value).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned())
}

/// As [`Xs::read`]: a value that is no UTF-8 is an error.
pub(crate) fn read_str(store: &(impl Store + ?Sized), path: &str) -> io::Result<Box<str>> {
    let value = String::from_utf8(store.read_bytes(path)?).map_err(|_| {
        io::Error::new(io::ErrorKind::InvalidData, format!("reading {path} in xenstore: the value is no UTF-8"))
    })?;
    Ok(value.into_boxed_str())
}

/// As [`Xs::rm`].
pub(crate) fn rm(store: &(impl Store + ?Sized), path: &str) -> io::Result<()> {
    let mut batch = Batch::new();
    batch.rm(path);
    store.run(batch)
}

/// The names of a node's children, in parts where the list is too long for one message.
pub(crate) fn list(store: &(impl Store + ?Sized), path: &str) -> io::Result<Vec<String>> {
    let mut batch = Batch::new();
    batch.directory(path);
    match store.submit_one(batch) {
        Ok(payload) => Ok(strings(&payload).collect()),
        Err(e) if errno(&e) == Some(Errno::E2BIG) => list_in_parts(store, path),
        Err(e) => Err(e),
    }
}

fn list_in_parts(store: &(impl Store + ?Sized), path: &str) -> io::Result<Vec<String>> {
    let wrong = |why: &str| io::Error::new(io::ErrorKind::InvalidData, format!("listing {path} in xenstore: {why}"));
    for _ in 0..DIRECTORY_RESTARTS {
        if let Some(names) = list_one_generation(store, path, &wrong)? {
            return Ok(strings(&names).collect());
        }
    }
    Err(wrong("it keeps changing"))
}

/// Collects the parts of a listing; none if the directory changed on the way.
fn list_one_generation(
    store: &(impl Store + ?Sized),
    path: &str,
    wrong: &dyn Fn(&str) -> io::Error,
) -> io::Result<Option<Vec<u8>>> {
    let mut generation: Option<Vec<u8>> = None;
    let mut names: Vec<u8> = Vec::new();
    loop {
        let mut batch = Batch::new();
        batch.path_request(Kind::DirectoryPart, path, format!("{}\0", names.len()).as_bytes());
        let part = store.submit_one(batch)?;
        let nul = part.iter().position(|b| *b == 0).ok_or_else(|| wrong("a part without a generation count"))?;
        let (this_generation, more) = (&part[..nul], &part[nul + 1..]);
        if generation.get_or_insert_with(|| this_generation.to_vec()) != this_generation {
            return Ok(None);
        }
        names.extend_from_slice(more);
        // The last part ends with an empty name.
        if names == [0] || names.ends_with(&[0, 0]) {
            names.pop();
            return Ok(Some(names));
        }
        if more.is_empty() || names.len() > DIRECTORY_MAX {
            return Err(wrong("a listing without an end"));
        }
    }
}
