//! Errors that carry their whole chain: step, object, cause, what to do.

use std::fmt;

use crate::types::idl::names;

/// The result of a toolstack operation.
pub type Result<T, E = Error> = std::result::Result<T, E>;

names! {
    /// The kind of an error, one to one with stock libxl's error codes (`libxl_error`, libxl_types.idl),
    /// from which `xl` derives exit statuses.
    pub enum ErrorKind {
        NonSpecific = -1 "nonspecific",
        Version = -2 "version",
        Fail = -3 "fail",
        NotImplemented = -4 "ni",
        NoMem = -5 "nomem",
        Invalid = -6 "inval",
        BadFail = -7 "badfail",
        GuestTimedOut = -8 "guest_timedout",
        TimedOut = -9 "timedout",
        NoParavirt = -10 "noparavirt",
        NotReady = -11 "not_ready",
        OsEventRegFail = -12 "osevent_reg_fail",
        BufferFull = -13 "bufferfull",
        UnknownChild = -14 "unknown_child",
        LockFail = -15 "lock_fail",
        JsonConfigEmpty = -16 "json_config_empty",
        DeviceExists = -17 "device_exists",
        CheckpointDevopsDoesNotMatch = -18 "checkpoint_devops_does_not_match",
        CheckpointDeviceNotSupported = -19 "checkpoint_device_not_supported",
        VnumaConfigInvalid = -20 "vnuma_config_invalid",
        DomainNotFound = -21 "domain_notfound",
        Aborted = -22 "aborted",
        NotFound = -23 "notfound",
        DomainDestroyed = -24 "domain_destroyed",
        FeatureRemoved = -25 "feature_removed",
        ProtocolErrorQmp = -26 "protocol_error_qmp",
        UnknownQmpError = -27 "unknown_qmp_error",
        QmpGenericError = -28 "qmp_generic_error",
        QmpCommandNotFound = -29 "qmp_command_not_found",
        QmpDeviceNotActive = -30 "qmp_device_not_active",
        QmpDeviceNotFound = -31 "qmp_device_not_found",
        QemuApi = -32 "qemu_api",
    }
}

impl ErrorKind {
    /// Stock libxl's number for it: negative, as its functions return it.
    pub fn code(self) -> i32 {
        self.number()
    }
}

/// A failure, with the steps that led to it from the outermost in, and notes on the clean-up.
///
/// Its text is one line: `creating web1: reading the kernel: /boot/vmlinuz: No such file`.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    /// The cause and then each step that was being done, innermost first.
    chain: Vec<String>,
    /// What failed while cleaning up after this error, and hints.
    notes: Vec<String>,
}

impl Error {
    /// A failure of this kind, told in words that need no log to be understood.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Error {
        Error { kind, chain: vec![message.into()], notes: Vec::new() }
    }

    /// A failure of no more precise kind (`ERROR_FAIL`).
    pub fn fail(message: impl Into<String>) -> Error {
        Error::new(ErrorKind::Fail, message)
    }

    /// A wrong argument or configuration (`ERROR_INVAL`).
    pub fn invalid(message: impl Into<String>) -> Error {
        Error::new(ErrorKind::Invalid, message)
    }

    /// Its kind, from which the exit status follows.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The same failure with another kind.
    pub fn with_kind(mut self, kind: ErrorKind) -> Error {
        self.kind = kind;
        self
    }

    /// Puts the step that was being done in front.
    pub fn context(mut self, step: impl Into<String>) -> Error {
        self.chain.push(step.into());
        self
    }

    /// Adds a note: a failed clean-up, or what to do.
    pub fn note(mut self, note: impl Into<String>) -> Error {
        self.notes.push(note.into());
        self
    }

    /// The notes, in the order they were added.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, part) in self.chain.iter().rev().enumerate() {
            if i > 0 {
                f.write_str(": ")?;
            }
            f.write_str(part)?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

impl From<libxc::Error> for Error {
    fn from(e: libxc::Error) -> Error {
        Error::fail(e.to_string())
    }
}

/// Adds steps to the error of a result.
pub trait ResultExt<T> {
    /// Puts a step in front of the error, if there is one.
    fn context(self, step: impl Into<String>) -> Result<T>;
    /// As [`ResultExt::context`], with the words made only on failure.
    fn with_context<S: Into<String>>(self, step: impl FnOnce() -> S) -> Result<T>;
}

impl<T, E: Into<Error>> ResultExt<T> for Result<T, E> {
    fn context(self, step: impl Into<String>) -> Result<T> {
        self.map_err(|e| e.into().context(step))
    }

    fn with_context<S: Into<String>>(self, step: impl FnOnce() -> S) -> Result<T> {
        self.map_err(|e| e.into().context(step()))
    }
}

impl From<std::io::Error> for Error {
    fn from(e: std::io::Error) -> Error {
        // One of this kind comes back out of a reader or writer that waits (event::Patient).
        e.downcast().unwrap_or_else(|e| Error::fail(libxc::reason(&e)))
    }
}

impl From<nix::errno::Errno> for Error {
    fn from(e: nix::errno::Errno) -> Error {
        Error::fail(e.desc())
    }
}

impl From<libxc::image::Error> for Error {
    fn from(e: libxc::image::Error) -> Error {
        Error::fail(e.to_string())
    }
}

impl From<crate::stream::StreamError> for Error {
    fn from(e: crate::stream::StreamError) -> Error {
        Error::fail(format!("the stream: {e}"))
    }
}
