//! Requests made ready to be sent together.

use super::wire::{Header, Kind, PAYLOAD_MAX, check_path};
use super::{HEADER_LEN, Perms};
use std::io;
use std::ops::Range;

/// Requests that are sent in one go and waited for once.
///
/// Each method queues one request; [`super::Store::submit`] or [`super::Store::run`] sends them all.
/// xenstored does them in this order. One that breaks the protocol's rules (path, size) makes the
/// whole batch fail before anything is sent.
#[derive(Debug, Default)]
pub struct Batch {
    /// The messages one after another, headers without ids.
    bytes: Vec<u8>,
    requests: Vec<Request>,
    invalid: Option<io::Error>,
}

/// One message of a batch.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) kind: Kind,
    /// Where it is in the batch's bytes, header and payload.
    pub(crate) range: Range<usize>,
    /// Whether "no such node" is a success.
    pub(crate) may_be_missing: bool,
}

impl Batch {
    /// No requests.
    pub fn new() -> Batch {
        Batch::default()
    }

    /// How many requests are queued.
    pub fn len(&self) -> usize {
        self.requests.len()
    }

    /// Whether no request is queued.
    pub fn is_empty(&self) -> bool {
        self.requests.is_empty()
    }

    /// Reads a node's value.
    pub fn read(&mut self, path: &str) -> &mut Batch {
        self.path_request(Kind::Read, path, &[])
    }

    /// Writes a node's value; creates the node and its parents where they do not exist.
    pub fn write(&mut self, path: &str, value: impl AsRef<[u8]>) -> &mut Batch {
        self.path_request(Kind::Write, path, value.as_ref())
    }

    /// Writes a node and gives it these permissions: two requests.
    pub fn write_with(&mut self, path: &str, value: impl AsRef<[u8]>, perms: &Perms) -> &mut Batch {
        self.write(path, value).set_perms(path, perms)
    }

    /// Creates an empty node; no error if it exists.
    pub fn mkdir(&mut self, path: &str) -> &mut Batch {
        self.path_request(Kind::Mkdir, path, &[])
    }

    /// Creates an empty node with these permissions: two requests.
    pub fn mkdir_with(&mut self, path: &str, perms: &Perms) -> &mut Batch {
        self.mkdir(path).set_perms(path, perms)
    }

    /// Removes a node with all below it.
    pub fn rm(&mut self, path: &str) -> &mut Batch {
        self.path_request(Kind::Rm, path, &[])
    }

    /// Removes a node with all below it; answered with success if it does not exist.
    pub fn remove(&mut self, path: &str) -> &mut Batch {
        self.rm(path);
        if let Some(request) = self.requests.last_mut() {
            request.may_be_missing = true;
        }
        self
    }

    /// Lists a node's children; answered with `E2BIG` where the list is too long for one message.
    pub fn directory(&mut self, path: &str) -> &mut Batch {
        self.path_request(Kind::Directory, path, &[])
    }

    /// Reads a node's permissions.
    pub fn get_perms(&mut self, path: &str) -> &mut Batch {
        self.path_request(Kind::GetPerms, path, &[])
    }

    /// Sets a node's permissions.
    pub fn set_perms(&mut self, path: &str, perms: &Perms) -> &mut Batch {
        let mut entries = perms.entries().join("\0").into_bytes();
        entries.push(0);
        self.path_request(Kind::SetPerms, path, &entries)
    }

    /// A request about a path: the path with its NUL, then these bytes.
    pub(crate) fn path_request(&mut self, kind: Kind, path: &str, rest: &[u8]) -> &mut Batch {
        match check_path(path) {
            Ok(()) => self.request(kind, &[path.as_bytes(), &[0], rest]),
            Err(e) => self.refuse(e),
        }
    }

    /// A request whose payload is these pieces.
    pub(crate) fn request(&mut self, kind: Kind, pieces: &[&[u8]]) -> &mut Batch {
        let len = pieces.iter().map(|p| p.len()).sum();
        if len > PAYLOAD_MAX {
            let path = String::from_utf8_lossy(pieces[0]);
            return self.refuse(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("{} {path} in xenstore: {len} bytes with the path, more than {PAYLOAD_MAX}", kind.verb()),
            ));
        }
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&Header { kind, req_id: 0, tx_id: 0, len }.encode());
        for piece in pieces {
            self.bytes.extend_from_slice(piece);
        }
        self.requests.push(Request { kind, range: start..self.bytes.len(), may_be_missing: false });
        self
    }

    /// Queues another batch's requests after these.
    pub(crate) fn append(&mut self, other: Batch) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&other.bytes);
        let shifted = |r: Request| Request { range: r.range.start + start..r.range.end + start, ..r };
        self.requests.extend(other.requests.into_iter().map(shifted));
        self.invalid = self.invalid.take().or(other.invalid);
    }

    pub(crate) fn refuse(&mut self, error: io::Error) -> &mut Batch {
        self.invalid.get_or_insert(error);
        self
    }

    /// The requests and their bytes, or the first rule that was broken.
    pub(crate) fn into_parts(self) -> io::Result<(Vec<u8>, Vec<Request>)> {
        match self.invalid {
            Some(error) => Err(error),
            None => Ok((self.bytes, self.requests)),
        }
    }
}

impl Request {
    /// Writes the ids into this request's header within the batch's bytes.
    pub(crate) fn stamp(&self, bytes: &mut [u8], req_id: u32, tx_id: u32) {
        let len = self.range.len() - HEADER_LEN;
        let header = Header { kind: self.kind, req_id, tx_id, len }.encode();
        bytes[self.range.start..self.range.start + HEADER_LEN].copy_from_slice(&header);
    }

    /// What it is about, for messages: its first string.
    pub(crate) fn object(&self, bytes: &[u8]) -> String {
        let payload = &bytes[self.range.start + HEADER_LEN..self.range.end];
        let end = payload.iter().position(|b| *b == 0).unwrap_or(payload.len());
        String::from_utf8_lossy(&payload[..end]).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use libxc::DomId;

    #[test]
    fn encodes_requests_back_to_back() {
        let mut batch = Batch::new();
        batch.write_with("/a", "xy", &Perms::private().readable_by(DomId(3))).read("/a");
        let (bytes, requests) = batch.into_parts().unwrap();
        let payload = |i: usize| &bytes[requests[i].range.start + HEADER_LEN..requests[i].range.end];
        assert_eq!(payload(0), b"/a\0xy");
        assert_eq!(payload(1), b"/a\0n0\0r3\0");
        assert_eq!(payload(2), b"/a\0");
        assert_eq!(requests[2].object(&bytes), "/a");
        assert_eq!(requests[2].range.end, bytes.len());
    }

    #[test]
    fn a_broken_rule_fails_the_whole_batch() {
        let mut batch = Batch::new();
        batch.write("/a", [0u8; PAYLOAD_MAX - 3]);
        assert!(batch.into_parts().is_ok());

        let mut batch = Batch::new();
        batch.write("/a", [0u8; PAYLOAD_MAX - 2]).write("bad path", "");
        let error = batch.into_parts().unwrap_err().to_string();
        assert!(error.starts_with("writing /a in xenstore: 4097 bytes"), "{error}");
    }
}
