//! What a call to the hypervisor can fail with.

use crate::types::DomId;
use nix::errno::Errno;

/// An I/O error in words: the system's without their number (`No such file or directory`), and the end of what is read.
pub fn reason(error: &std::io::Error) -> String {
    match error.raw_os_error() {
        Some(number) => Errno::from_raw(number).desc().to_owned(),
        None if error.kind() == std::io::ErrorKind::UnexpectedEof => "it ends too early".into(),
        None => error.to_string(),
    }
}

/// The result of a call into this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failed call: which one, on which domain, and why.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Xen or the kernel refused a call.
    #[error("{call}{}: {}", on(*.domid), .errno.desc())]
    Call {
        /// The hypercall or library call, as Xen's headers name it.
        call: &'static str,
        /// The domain it was about.
        domid: Option<DomId>,
        /// The reason.
        errno: Errno,
    },
    /// The machine is not a Xen host, or this domain may not control it.
    #[error(
        "not running under Xen, or without the right to control it: {looked_for}: {why} \
         (boot this host under Xen, and be root in its control domain)"
    )]
    NoXen {
        /// The file or call that was tried.
        looked_for: String,
        /// What that gave.
        why: String,
    },
    /// A kernel or ramdisk cannot be used.
    #[error(transparent)]
    Image(#[from] crate::image::Error),
    /// The running hypervisor speaks another version of the control interface.
    #[error(
        "{call}: the hypervisor refuses this control interface: these tools are built for Xen {}",
        env!("XEN_VERSION")
    )]
    OtherVersion {
        /// The hypercall that was refused.
        call: &'static str,
    },
    /// A call gave something that this crate cannot accept.
    #[error("{0}")]
    Invalid(String),
}

fn on(domid: Option<DomId>) -> String {
    domid.map(|d| format!(" of domain {d}")).unwrap_or_default()
}

impl Error {
    /// The error of a call that just failed and set `errno`.
    pub(crate) fn last(call: &'static str, domid: Option<DomId>) -> Error {
        Error::Call { call, domid, errno: Errno::last() }
    }

    /// The errno of a refused call.
    pub fn errno(&self) -> Option<Errno> {
        match self {
            Error::Call { errno, .. } => Some(*errno),
            _ => None,
        }
    }
}
