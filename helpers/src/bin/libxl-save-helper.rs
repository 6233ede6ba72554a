//! `libxl-save-helper`: copies a guest's memory and processors into a stream or out of one, for libxl.
//!
//! libxl starts it with the stream open and speaks with it over standard input and output
//! ([`libxc::migrate::protocol`]). It exits with 0 once libxl has answered its last message; a process of its own so
//! that libxl can stop it at any moment.
#![allow(unsafe_code, reason = "a signal handler")]

use clap::{Args, Parser};
use helpers::{inherited, sandbox};
use libxc::domain::DomainFlags;
use libxc::migrate::protocol::{Message, level, receive_reply, send};
use libxc::migrate::{self, Error, Limits, RestoreControl, RestoreOptions, Restored, SaveControl, SaveOptions};
use libxc::types::PAGE_SIZE;
use libxc::{DomId, EvtchnPort, Xc};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, SigmaskHow, Signal, sigaction, sigprocmask};
use nix::sys::stat::{SFlag, fstat};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::process::ExitCode;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Moves a guest for libxl; not for use by hand.
#[derive(Parser)]
#[command(name = "libxl-save-helper", version)]
struct Options {
    #[command(flatten)]
    mode: Mode,
    #[command(flatten)]
    extra: ExtraOptions,
}

/// What stock's helper does not have.
#[derive(Args)]
struct ExtraOptions {
    /// Give up a live save unless the rest can be copied within so many milliseconds
    #[arg(long, value_name = "MS")]
    max_downtime: Option<u64>,
    /// Copy so many bytes a second while the guest runs
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u64).range(1..))]
    bandwidth: Option<u64>,
    /// Send pages of zeros without their content; only this helper restores them
    #[arg(long)]
    omit_zeros: bool,
}

impl ExtraOptions {
    fn limits(&self) -> Limits {
        Limits { max_downtime: self.max_downtime.map(Duration::from_millis), bandwidth: self.bandwidth }
    }
}

#[derive(Args)]
#[group(required = true, multiple = false)]
struct Mode {
    /// STREAMFD RECVFD DOMID XCFLAGS CBFLAGS STREAMTYPE
    #[arg(long, num_args = 6, allow_negative_numbers = true)]
    save_domain: Option<Vec<i64>>,
    /// STREAMFD SENDBACKFD DOMID STORE_EVTCHN STORE_DOMID CONSOLE_EVTCHN CONSOLE_DOMID CBFLAGS STREAMTYPE
    #[arg(long, num_args = 9, allow_negative_numbers = true)]
    restore_domain: Option<Vec<i64>>,
}

/// Bits of XCFLAGS.
const LIVE: i64 = 1 << 0;
const DEBUG: i64 = 1 << 1;
/// Pages of the guest that may stay mapped until this process ends, which it does at once: 8 GiB, for which the kernel
/// needs 16 MiB of page tables.
const LEFT_MAPPED: usize = (8 << 30) / PAGE_SIZE;
/// Whether a stream of this type, as libxl numbers them (`xc_stream_type_t`), has checkpoints.
fn has_checkpoints(kind: i64) -> Result<bool, Error> {
    match kind {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(Error::State("COLO's streams are not built".into())),
    }
}

fn main() -> ExitCode {
    let Options { mode: Mode { save_domain, restore_domain }, extra } = Options::parse();
    let mut libxl = Libxl;
    let ended = match (save_domain.as_deref(), restore_domain.as_deref()) {
        (Some(args), _) => save(&mut libxl, args, &extra),
        (_, Some(args)) => restore(&mut libxl, args),
        _ => Err(not_libxls()),
    };
    // An answer other than 0, or none, means that libxl is not there any more.
    match libxl.complete(ended) {
        Ok(0) => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

fn not_libxls() -> Error {
    Error::State("the arguments are not those of libxl".into())
}

fn save(libxl: &mut Libxl, args: &[i64], extra: &ExtraOptions) -> Result<(), Error> {
    libxl.log(level::DEBUG, "starting save");
    let &[stream, _, domid, flags, callbacks, kind] = args else { return Err(not_libxls()) };
    let checkpoints = has_checkpoints(kind)?;
    let stream = stop_writing_on_sigterm(stream_fd(stream)?)?;
    let options = SaveOptions {
        domid: domain(domid)?,
        live: flags & LIVE != 0,
        verify: flags & DEBUG != 0 && !checkpoints,
        checkpoints,
        omit_zeros: extra.omit_zeros,
        limits: extra.limits(),
        leave_mapped: LEFT_MAPPED,
    };
    let mut control = SaveCallbacks { libxl, domid: options.domid, wanted: callbacks };
    let xc = open_xen_and_nothing_more()?;
    migrate::save(&xc, stream, options, &mut control)
}

fn restore(libxl: &mut Libxl, args: &[i64]) -> Result<(), Error> {
    libxl.log(level::DEBUG, "starting restore");
    let &[stream, _, domid, store_port, store_domain, console_port, console_domain, callbacks, kind] = args else {
        return Err(not_libxls());
    };
    let restored = restore_stream(libxl, stream, callbacks, || {
        Ok(RestoreOptions {
            checkpoints: has_checkpoints(kind)?,
            domid: domain(domid)?,
            store_port: port(store_port)?,
            store_domain: domain(store_domain)?,
            console_port: port(console_port)?,
            console_domain: domain(console_domain)?,
        })
    });
    // libxl expects the results even where there are none.
    let Restored { store, console } = *restored.as_ref().unwrap_or(&Restored::default());
    libxl.tell(&Message::RestoreResults { store_gfn: store.0, console_gfn: console.0 });
    restored.map(drop)
}

fn restore_stream(
    libxl: &mut Libxl,
    stream: i64,
    callbacks: i64,
    options: impl FnOnce() -> Result<RestoreOptions, Error>,
) -> Result<Restored, Error> {
    let stream = stream_fd(stream)?;
    let from_file = is_file(&stream)?;
    let mut control = RestoreCallbacks { libxl, wanted: callbacks };
    let (xc, options) = (open_xen_and_nothing_more()?, options()?);
    let domain = xc.domain(options.domid).map_err(|error| Error::Hypervisor { what: "finding the domain", error })?;
    // The page tables of a PV guest are pinned at the end: nothing of it may be mapped then. And a guest that migrates
    // waits for the end of this process.
    let is_hvm = domain.is_some_and(|domain| domain.flags.contains(DomainFlags::HVM));
    if is_hvm && from_file {
        xc.leave_mapped(LEFT_MAPPED);
    }
    migrate::restore(&xc, stream.as_fd(), options, &mut control)
}

/// Whether the stream is a file, not a guest on its way.
fn is_file(stream: &OwnedFd) -> Result<bool, Error> {
    let kind = fstat(stream).map_err(|e| Error::Io { what: "looking at the stream", error: e.into() })?.st_mode;
    Ok(SFlag::from_bits_truncate(kind) & SFlag::S_IFMT == SFlag::S_IFREG)
}

/// From here on nothing else can be opened: the stream's first byte is not read yet.
fn open_xen_and_nothing_more() -> Result<Xc, Error> {
    let xc = Xc::open_whole().map_err(|error| Error::Hypervisor { what: "opening the hypervisor", error })?;
    sandbox::confine().map_err(|error| Error::Io { what: "giving up rights", error })?;
    Ok(xc)
}

/// The stream; all else that libxl left open is closed.
fn stream_fd(number: i64) -> Result<OwnedFd, Error> {
    let number = RawFd::try_from(number).unwrap_or(-1);
    let stream = inherited::take(number).map_err(|error| Error::Io { what: "taking over the stream", error })?;
    let closed = sandbox::close_inherited(&stream);
    closed.map_err(|error| Error::Io { what: "closing what is not needed", error }).map(|()| stream)
}

fn domain(number: i64) -> Result<DomId, Error> {
    u16::try_from(number).map(DomId).map_err(|_| Error::State(format!("{number} is no domain's number")))
}

fn port(number: i64) -> Result<EvtchnPort, Error> {
    u32::try_from(number).map(EvtchnPort).map_err(|_| Error::State(format!("{number} is no event channel's number")))
}

/// libxl, at the other end of standard input and output.
struct Libxl;

impl Libxl {
    /// Tells something. Where libxl is gone, a save puts the guest in order and ends, a restore just ends.
    fn tell(&mut self, message: &Message) {
        if send(&mut io::stdout().lock(), message).is_err() {
            self.gone();
        }
    }

    /// Tells something and waits for the answer; `None` where libxl is gone.
    fn ask(&mut self, message: &Message) -> Option<i32> {
        self.tell(message);
        let answer = receive_reply(&mut io::stdin().lock()).ok();
        if answer.is_none() {
            self.gone();
        }
        answer
    }

    fn gone(&self) {
        if !stop_writing() {
            std::process::exit(-1);
        }
    }

    fn log(&mut self, level: u32, text: &str) {
        self.log_errno(level, -1, text);
    }

    fn log_errno(&mut self, level: u32, errno: i32, text: &str) {
        let text: String = text.chars().take(4096).collect();
        self.tell(&Message::Log { level, errno, context: "libxl-save-helper".into(), text });
    }

    fn complete(&mut self, ended: Result<(), Error>) -> io::Result<i32> {
        let (retval, errno) = match &ended {
            Ok(()) => (0, 0),
            Err(e) => {
                let why =
                    if TERMINATED.load(Ordering::Relaxed) { "it was stopped by SIGTERM".into() } else { e.to_string() };
                self.log(level::ERROR, &why);
                (-1, e.errno())
            }
        };
        self.log_errno(level::DEBUG, errno, &format!("complete r={retval}"));
        send(&mut io::stdout().lock(), &Message::Complete { retval, errno })?;
        receive_reply(&mut io::stdin().lock())
    }
}

/// Passes on what a save needs.
struct SaveCallbacks<'a> {
    libxl: &'a mut Libxl,
    domid: DomId,
    /// The messages that libxl has an answer for, a bit each.
    wanted: i64,
}

impl SaveControl for SaveCallbacks<'_> {
    fn suspend(&mut self) -> Result<(), Error> {
        match self.libxl.ask(&Message::Suspend {}) {
            None | Some(0) => Err(Error::Refused("suspending the guest")),
            Some(_) => Ok(()),
        }
    }

    fn log_dirty_devices(&mut self, enable: bool) -> Result<(), Error> {
        let message = Message::SwitchQemuLogdirty { domid: self.domid.0.into(), enable: enable.into() };
        if self.wanted & 1 << message.number() == 0 {
            return Ok(());
        }
        match self.libxl.ask(&message) {
            Some(0) => Ok(()),
            _ => Err(Error::Refused("making the device model note what it writes")),
        }
    }

    fn checkpoint(&mut self) -> Result<(), Error> {
        for message in [Message::Postcopy {}, Message::Checkpoint {}] {
            if self.libxl.ask(&message).is_none_or(|answer| answer <= 0) {
                return Err(Error::Refused("going on after a checkpoint"));
            }
        }
        Ok(())
    }

    fn progress(&mut self, what: &str, done: u64, total: u64) {
        self.libxl.tell(&Message::Progress { context: "xc".into(), what: what.into(), done, total });
    }

    fn warn(&mut self, what: &str) {
        self.libxl.log(level::WARN, what);
    }
}

/// Passes on what a restore needs.
struct RestoreCallbacks<'a> {
    libxl: &'a mut Libxl,
    wanted: i64,
}

impl RestoreControl for RestoreCallbacks<'_> {
    fn static_data_done(&mut self, cpuid_missing: bool, msrs_missing: bool) -> Result<(), Error> {
        let missing = u32::from(cpuid_missing) | u32::from(msrs_missing) << 1;
        let message = Message::StaticDataDone { missing };
        if self.wanted & 1 << message.number() == 0 {
            return Ok(());
        }
        match self.libxl.ask(&message) {
            Some(0) => Ok(()),
            _ => Err(Error::Refused("giving the guest the processor that it knows")),
        }
    }

    fn checkpoint(&mut self) -> Result<bool, Error> {
        match self.libxl.ask(&Message::Checkpoint {}) {
            Some(1) => Ok(true),
            Some(2) => Ok(false),
            _ => Err(Error::Refused("taking in a checkpoint")),
        }
    }

    fn progress(&mut self, what: &str) {
        self.libxl.log(level::INFO, what);
    }

    fn warn(&mut self, what: &str) {
        self.libxl.log(level::WARN, what);
    }
}

/// The stream, and what takes its place on SIGTERM: both descriptors stay open for the life of the process.
static STREAM: OnceLock<OwnedFd> = OnceLock::new();
static UNWRITABLE: OnceLock<File> = OnceLock::new();
static TERMINATED: AtomicBool = AtomicBool::new(false);

/// On SIGTERM the stream can no longer be written: the save fails at its next write and puts the guest in order
/// again on its way out, which an exit would not do.
fn stop_writing_on_sigterm(stream: OwnedFd) -> Result<BorrowedFd<'static>, Error> {
    let failed = |error: io::Error| Error::Io { what: "preparing for SIGTERM", error };
    let unwritable = File::open("/dev/null").map_err(failed)?;
    UNWRITABLE.get_or_init(|| unwritable);
    let stream = STREAM.get_or_init(|| stream).as_fd();
    // No SA_RESTART: a write that waits is to end.
    let action = SigAction::new(SigHandler::Handler(on_sigterm), SaFlags::empty(), SigSet::empty());
    // SAFETY: the handler loads and stores atomics and calls nothing but dup2, which is async-signal-safe, and keeps errno.
    unsafe { sigaction(Signal::SIGTERM, &action) }.map_err(|e| failed(e.into()))?;
    sigprocmask(SigmaskHow::SIG_UNBLOCK, Some(&Signal::SIGTERM.into()), None).map_err(|e| failed(e.into()))?;
    Ok(stream)
}

extern "C" fn on_sigterm(_signal: i32) {
    let errno = nix::errno::Errno::last_raw();
    TERMINATED.store(true, Ordering::Relaxed);
    stop_writing();
    nix::errno::Errno::set_raw(errno);
}

/// Sees to it that the save fails at its next write; false if this is none.
fn stop_writing() -> bool {
    let (Some(unwritable), Some(stream)) = (UNWRITABLE.get(), STREAM.get()) else { return false };
    // SAFETY: both are open, and nothing closes what a static owns.
    unsafe { libc::dup2(unwritable.as_raw_fd(), stream.as_raw_fd()) != -1 }
}
