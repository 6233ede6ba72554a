//! Permissions of a node, in the notation of `xenstore-ls -p`: `(n0,r5)`.

use libxc::DomId;
use std::fmt;
use std::str::FromStr;

/// What a domain may do with a node (`XS_PERM_*`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Access {
    /// `n`: nothing.
    None,
    /// `r`: read.
    Read,
    /// `w`: write.
    Write,
    /// `b`: both.
    Both,
}

impl Access {
    fn letter(self) -> char {
        match self {
            Access::None => 'n',
            Access::Read => 'r',
            Access::Write => 'w',
            Access::Both => 'b',
        }
    }

    fn from_letter(letter: u8) -> Option<Access> {
        [Access::None, Access::Read, Access::Write, Access::Both].into_iter().find(|a| a.letter() as u8 == letter)
    }
}

/// The permissions of a node: its owner, who may do everything; what every domain not named may do;
/// and what some named domains may do.
///
/// A domain without a name in the list is dom0 or a privileged one, or gets `others`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Perms {
    /// The domain that owns the node; it may read, write and set permissions.
    pub owner: DomId,
    /// What domains that are not named may do.
    pub others: Access,
    /// What these domains may do; the first entry of a domain counts.
    pub grants: Vec<(DomId, Access)>,
}

impl Perms {
    /// Owned by `owner`, nothing for others: `(nOWNER)`.
    pub fn owned_by(owner: DomId) -> Perms {
        Perms { owner, others: Access::None, grants: Vec::new() }
    }

    /// For dom0 alone: `(n0)`.
    pub fn private() -> Perms {
        Perms::owned_by(DomId(0))
    }

    /// Also readable by this domain: `(n0,rREADER)`.
    pub fn readable_by(mut self, reader: DomId) -> Perms {
        self.grants.push((reader, Access::Read));
        self
    }

    /// Whether this domain, if it has no privileges, could have written the node.
    pub fn writable_by(&self, domid: DomId) -> bool {
        let granted = self.grants.iter().find(|(to, _)| *to == domid).map_or(self.others, |(_, access)| *access);
        self.owner == domid || matches!(granted, Access::Write | Access::Both)
    }

    /// The entries as the wire has them: `n0`, `r5`, each without its NUL.
    pub(crate) fn entries(&self) -> Vec<String> {
        let first = format!("{}{}", self.others.letter(), self.owner);
        let rest = self.grants.iter().map(|(domid, access)| format!("{}{domid}", access.letter()));
        std::iter::once(first).chain(rest).collect()
    }

    /// From the entries of the wire; none is an error, and so is a domid out of range.
    pub(crate) fn from_entries<'a>(entries: impl Iterator<Item = &'a str>) -> Result<Perms, BadPerms> {
        let mut parsed = entries.map(parse_entry);
        let (owner, others) = parsed.next().ok_or_else(|| BadPerms(String::new()))??;
        Ok(Perms { owner, others, grants: parsed.collect::<Result<_, _>>()? })
    }
}

fn parse_entry(entry: &str) -> Result<(DomId, Access), BadPerms> {
    let bad = || BadPerms(entry.to_owned());
    let access = entry.bytes().next().and_then(Access::from_letter).ok_or_else(bad)?;
    let domid = entry[1..].parse().map_err(|_| bad())?;
    Ok((DomId(domid), access))
}

/// Text that is no permission.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a xenstore permission (n, r, w or b and a domid)")]
pub struct BadPerms(String);

impl fmt::Display for Perms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({})", self.entries().join(","))
    }
}

impl FromStr for Perms {
    type Err = BadPerms;

    /// Reads `(n0,r5)` or `n0,r5`.
    fn from_str(text: &str) -> Result<Perms, BadPerms> {
        let inner = text.strip_prefix('(').and_then(|t| t.strip_suffix(')')).unwrap_or(text);
        Perms::from_entries(inner.split(','))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notation() {
        assert_eq!(Perms::owned_by(DomId(0)).readable_by(DomId(5)).to_string(), "(n0,r5)");
        for text in ["(n0)", "(n5,r0)", "(b3,w4,n65535)", "(r0)"] {
            assert_eq!(text.parse::<Perms>().unwrap().to_string(), text);
        }
        assert_eq!("n0,r7".parse(), Ok(Perms::private().readable_by(DomId(7))));
    }

    #[test]
    fn who_could_have_written_it() {
        let writable = |text: &str| text.parse::<Perms>().unwrap().writable_by(DomId(5));
        assert!(["(n5)", "(w0)", "(b0,r7)", "(n0,w5)", "(r0,b5)"].into_iter().all(writable));
        assert!(!["(n0)", "(r0,b7)", "(w0,r5)", "(n0,r5,w5)"].into_iter().any(writable));
    }

    #[test]
    fn bad_notation() {
        for bad in ["", "()", "x0", "n", "n-1", "n65536", "n0,", "n0 ", "é0"] {
            assert!(bad.parse::<Perms>().is_err(), "{bad:?}");
        }
    }
}
