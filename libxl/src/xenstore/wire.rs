//! The xenstore wire protocol (`xen/include/public/io/xs_wire.h`, `docs/misc/xenstore.txt`).
//!
//! Every message is a header of four native-endian 32-bit words, then `len` bytes of payload.
//! What comes from the other side is checked here: nothing in a reply is trusted.

use nix::errno::Errno;
use std::io;

/// Bytes of a header (`struct xsd_sockmsg`).
pub(crate) const HEADER_LEN: usize = 16;
/// The most bytes that a message carries after its header (`XENSTORE_PAYLOAD_MAX`): xenstored drops
/// a client that sends more.
pub const PAYLOAD_MAX: usize = 4096;
/// The longest path that starts with `/` (`XENSTORE_ABS_PATH_MAX`).
pub const ABS_PATH_MAX: usize = 3072;
/// The longest path relative to the caller's own directory (`XENSTORE_REL_PATH_MAX`).
pub const REL_PATH_MAX: usize = 2048;

/// A message's kind (`enum xsd_sockmsg_type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Kind {
    Control = 0,
    Directory = 1,
    Read = 2,
    GetPerms = 3,
    Watch = 4,
    Unwatch = 5,
    TransactionStart = 6,
    TransactionEnd = 7,
    Introduce = 8,
    Release = 9,
    GetDomainPath = 10,
    Write = 11,
    Mkdir = 12,
    Rm = 13,
    SetPerms = 14,
    WatchEvent = 15,
    Error = 16,
    IsDomainIntroduced = 17,
    Resume = 18,
    SetTarget = 19,
    ResetWatches = 21,
    DirectoryPart = 22,
}

impl Kind {
    const ALL: [Kind; 22] = [
        Kind::Control,
        Kind::Directory,
        Kind::Read,
        Kind::GetPerms,
        Kind::Watch,
        Kind::Unwatch,
        Kind::TransactionStart,
        Kind::TransactionEnd,
        Kind::Introduce,
        Kind::Release,
        Kind::GetDomainPath,
        Kind::Write,
        Kind::Mkdir,
        Kind::Rm,
        Kind::SetPerms,
        Kind::WatchEvent,
        Kind::Error,
        Kind::IsDomainIntroduced,
        Kind::Resume,
        Kind::SetTarget,
        Kind::ResetWatches,
        Kind::DirectoryPart,
    ];

    fn from_number(number: u32) -> Option<Kind> {
        Kind::ALL.into_iter().find(|k| *k as u32 == number)
    }

    /// What a request of this kind does, for error messages: `reading`, `writing`.
    pub(crate) fn verb(self) -> &'static str {
        match self {
            Kind::Control => "controlling xenstored:",
            Kind::Directory | Kind::DirectoryPart => "listing",
            Kind::Read => "reading",
            Kind::GetPerms => "reading the permissions of",
            Kind::SetPerms => "setting the permissions of",
            Kind::Watch => "watching",
            Kind::Unwatch => "no longer watching",
            Kind::TransactionStart => "starting a transaction",
            Kind::TransactionEnd => "ending a transaction",
            Kind::Introduce => "introducing domain",
            Kind::Release => "releasing domain",
            Kind::GetDomainPath => "looking up the path of domain",
            Kind::Write => "writing",
            Kind::Mkdir => "creating",
            Kind::Rm => "removing",
            Kind::IsDomainIntroduced => "asking for the connection of domain",
            Kind::Resume => "resuming domain",
            Kind::SetTarget => "setting the target of domain",
            Kind::ResetWatches => "resetting watches",
            Kind::WatchEvent | Kind::Error => "receiving",
        }
    }

    /// The fewest payload bytes of a reply, successful or not, to this request.
    ///
    /// A read or a listing may be empty; every other success is at least `OK`, a digit, or `T`, with
    /// a NUL.
    pub(crate) fn least_reply(self) -> usize {
        match self {
            Kind::Control | Kind::Directory | Kind::Read => 0,
            Kind::GetPerms => "n0\0".len(),
            Kind::TransactionStart | Kind::IsDomainIntroduced | Kind::DirectoryPart => "1\0".len(),
            Kind::GetDomainPath => "/\0".len(),
            _ => "OK\0".len(),
        }
    }
}

/// The header of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) kind: Kind,
    /// Chosen by the asker and repeated in the answer; 0 in watch events.
    pub(crate) req_id: u32,
    /// The transaction, or 0.
    pub(crate) tx_id: u32,
    /// Payload bytes that follow.
    pub(crate) len: usize,
}

impl Header {
    pub(crate) fn encode(&self) -> [u8; HEADER_LEN] {
        let mut out = [0; HEADER_LEN];
        let words = [self.kind as u32, self.req_id, self.tx_id, self.len as u32];
        for (chunk, word) in out.chunks_exact_mut(4).zip(words) {
            chunk.copy_from_slice(&word.to_ne_bytes());
        }
        out
    }

    /// Takes a header apart; refuses unknown kinds and payloads longer than the protocol allows.
    pub(crate) fn decode(bytes: &[u8; HEADER_LEN]) -> Result<Header, String> {
        let word = |i: usize| u32::from_ne_bytes([bytes[i], bytes[i + 1], bytes[i + 2], bytes[i + 3]]);
        let kind = Kind::from_number(word(0)).ok_or_else(|| format!("a message of unknown type {}", word(0)))?;
        let len = word(12) as usize;
        if len > PAYLOAD_MAX {
            return Err(format!("a message of {len} bytes, where the protocol's limit is {PAYLOAD_MAX}"));
        }
        Ok(Header { kind, req_id: word(4), tx_id: word(8), len })
    }
}

/// The errors that xenstored sends, by their names (`xsd_errors`).
const ERRORS: [(&str, Errno); 16] = [
    ("EINVAL", Errno::EINVAL),
    ("EACCES", Errno::EACCES),
    ("EEXIST", Errno::EEXIST),
    ("EISDIR", Errno::EISDIR),
    ("ENOENT", Errno::ENOENT),
    ("ENOMEM", Errno::ENOMEM),
    ("ENOSPC", Errno::ENOSPC),
    ("EIO", Errno::EIO),
    ("ENOTEMPTY", Errno::ENOTEMPTY),
    ("ENOSYS", Errno::ENOSYS),
    ("EROFS", Errno::EROFS),
    ("EBUSY", Errno::EBUSY),
    ("EAGAIN", Errno::EAGAIN),
    ("EISCONN", Errno::EISCONN),
    ("E2BIG", Errno::E2BIG),
    ("EPERM", Errno::EPERM),
];

/// The error that an error reply's payload names; a name we do not know counts as `EINVAL`, as in
/// libxenstore.
pub(crate) fn errno_of(payload: &[u8]) -> Errno {
    let name = payload.strip_suffix(&[0]).unwrap_or(payload);
    ERRORS.iter().find(|(n, _)| n.as_bytes() == name).map_or(Errno::EINVAL, |(_, errno)| *errno)
}

/// Checks a node's path by xenstored's rules, so that the error says which one it breaks.
pub fn check_path(path: &str) -> io::Result<()> {
    let max = if path.starts_with('/') { ABS_PATH_MAX } else { REL_PATH_MAX };
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-/_@".contains(c);
    let complaint = if path.is_empty() {
        "it is empty".to_owned()
    } else if path.len() > max {
        format!("it has {} bytes, more than {max}", path.len())
    } else if let Some(c) = path.chars().find(|c| !allowed(*c)) {
        format!("{c:?} is not allowed in it (letters, digits, - / _ @ are)")
    } else if path.contains("//") {
        "it has an empty component".to_owned()
    } else if path.len() > 1 && path.ends_with('/') {
        "it ends with a slash".to_owned()
    } else {
        return Ok(());
    };
    // A bad path may be long and hostile: shown escaped, and not whole.
    let shown: String = path.chars().take(80).collect();
    Err(io::Error::new(io::ErrorKind::InvalidInput, format!("xenstore path {shown:?}: {complaint}")))
}

/// The strings of a payload, each ended by a NUL.
pub(crate) fn strings(payload: &[u8]) -> impl Iterator<Item = String> + '_ {
    let body = payload.strip_suffix(&[0]).unwrap_or(payload);
    let none = payload.is_empty();
    body.split(|b| *b == 0).filter(move |_| !none).map(|s| String::from_utf8_lossy(s).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_round_trip() {
        for kind in Kind::ALL {
            let header = Header { kind, req_id: 7, tx_id: 0x8000_0001, len: 4096 };
            assert_eq!(Header::decode(&header.encode()), Ok(header));
        }
    }

    #[test]
    fn hostile_headers_are_refused() {
        let mut bytes = Header { kind: Kind::Read, req_id: 1, tx_id: 0, len: 0 }.encode();
        bytes[12..16].copy_from_slice(&4097u32.to_ne_bytes());
        assert!(Header::decode(&bytes).unwrap_err().contains("4097"));
        bytes[0..4].copy_from_slice(&20u32.to_ne_bytes());
        assert!(Header::decode(&bytes).unwrap_err().contains("unknown type 20"));
    }

    #[test]
    fn errors_by_name() {
        assert_eq!(errno_of(b"ENOENT\0"), Errno::ENOENT);
        assert_eq!(errno_of(b"EAGAIN\0"), Errno::EAGAIN);
        assert_eq!(errno_of(b"EWHATEVER\0"), Errno::EINVAL);
        assert_eq!(errno_of(b""), Errno::EINVAL);
    }

    #[test]
    fn path_rules() {
        for good in ["/", "/local/domain/0", "device/vbd/51712", "@releaseDomain", "/a-b_c@d"] {
            check_path(good).unwrap();
        }
        for (bad, why) in [
            ("", "empty"),
            ("/a//b", "empty component"),
            ("/a/", "ends with a slash"),
            ("/a b", "' '"),
            ("/\0", "'\\0'"),
        ] {
            let error = check_path(bad).unwrap_err().to_string();
            assert!(error.contains(why), "{bad:?}: {error}");
        }
        check_path(&format!("/{}", "a".repeat(ABS_PATH_MAX - 1))).unwrap();
        assert!(check_path(&format!("/{}", "a".repeat(ABS_PATH_MAX))).is_err());
        assert!(check_path(&"a".repeat(REL_PATH_MAX + 1)).is_err());
    }

    #[test]
    fn strings_of_a_payload() {
        let of = |p: &[u8]| strings(p).collect::<Vec<_>>();
        assert_eq!(of(b"a\0bc\0"), ["a", "bc"]);
        assert_eq!(of(b"a"), ["a"]);
        assert_eq!(of(b"\0"), [""]);
        assert!(of(b"").is_empty());
    }
}
