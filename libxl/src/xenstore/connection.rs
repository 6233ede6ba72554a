//! One connection to xenstored: sends batches, matches replies, keeps watch events.
//!
//! Replies are matched by request id. Watch events arrive between replies on the same stream; they are
//! put aside, a bounded number. Anything that breaks the protocol ends the connection: later calls
//! fail at once instead of taking one request's answer for another's.

use super::batch::{Batch, Request};
use super::watch::Watches;
use super::wire::{HEADER_LEN, Header, Kind, errno_of, strings};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{MsgFlags, recv, send};
use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// Requests in flight at once: enough to hide the round trips of a whole device or domain, few enough
/// that a server that queues its replies keeps little.
const WINDOW: usize = 256;
/// Bytes in flight at once: less than a socket's send buffer, so that sending does not block.
const WINDOW_BYTES: usize = 64 << 10;
/// How long xenstored may take to answer. A live update of xenstored stalls it for up to a minute.
const REPLY_TIMEOUT: Duration = Duration::from_secs(120);
/// Bytes asked for at once.
const RECEIVE_CHUNK: usize = 16 << 10;

/// The road to xenstored.
#[derive(Debug)]
pub(crate) enum Transport {
    /// xenstored's socket, where it runs in this domain.
    Socket(UnixStream),
    /// The kernel's xenbus device: takes one message per write, and answers watch requests itself. It keeps
    /// a message only until the next is written, so there is one request at a time.
    Device(File),
}

impl Transport {
    /// Opens a socket or a device, whichever is at this path.
    pub(crate) fn open(path: &Path) -> io::Result<Transport> {
        if path.metadata()?.file_type().is_socket() {
            return Transport::socket(UnixStream::connect(path)?);
        }
        let file = OpenOptions::new().read(true).write(true).custom_flags(libc::O_NONBLOCK).open(path)?;
        Ok(Transport::Device(file))
    }

    pub(crate) fn socket(stream: UnixStream) -> io::Result<Transport> {
        stream.set_read_timeout(Some(REPLY_TIMEOUT))?;
        Ok(Transport::Socket(stream))
    }

    fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut calls = 0;
        match self {
            Transport::Socket(stream) => {
                let mut rest = bytes;
                while !rest.is_empty() {
                    calls += 1;
                    match send(stream.as_raw_fd(), rest, MsgFlags::MSG_NOSIGNAL) {
                        Ok(n) => rest = &rest[n..],
                        Err(Errno::EINTR) => {}
                        Err(e) => return Err(e.into()),
                    }
                }
            }
            Transport::Device(file) => {
                calls += 1;
                (&mut &*file).write_all(bytes)?;
            }
        }
        Ok(calls)
    }

    /// Waits for at least one byte, or, where more is certain to come, for `least` bytes.
    fn receive(&self, buffer: &mut [u8], least: usize) -> io::Result<usize> {
        match self {
            // A reply's header and payload come in two writes, a batch's replies in many: asking for all
            // that is certain to come makes this one wait.
            Transport::Socket(stream) if least > HEADER_LEN => {
                let least = least.min(buffer.len());
                Ok(recv(stream.as_raw_fd(), &mut buffer[..least], MsgFlags::MSG_WAITALL)?)
            }
            Transport::Socket(stream) => Ok(recv(stream.as_raw_fd(), buffer, MsgFlags::empty())?),
            Transport::Device(file) => {
                let mut fds = [PollFd::new(file.as_fd(), PollFlags::POLLIN)];
                let timeout = PollTimeout::try_from(REPLY_TIMEOUT).unwrap_or(PollTimeout::MAX);
                match poll(&mut fds, timeout)? {
                    0 => Err(io::ErrorKind::WouldBlock.into()),
                    _ => (&mut &*file).read(buffer),
                }
            }
        }
    }

    /// Takes what is there without waiting.
    fn receive_ready(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Transport::Socket(stream) => Ok(recv(stream.as_raw_fd(), buffer, MsgFlags::MSG_DONTWAIT)?),
            Transport::Device(file) => (&mut &*file).read(buffer),
        }
    }
}

impl AsFd for Transport {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Transport::Socket(stream) => stream.as_fd(),
            Transport::Device(file) => file.as_fd(),
        }
    }
}

/// What a connection has cost so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Requests sent.
    pub requests: u64,
    /// Times the caller waited for xenstored: once per batch, however many requests it has.
    pub waits: u64,
    /// System calls that sent.
    pub sends: u64,
    /// System calls that received.
    pub receives: u64,
}

/// The answer to one request: its payload, or xenstored's error.
pub(crate) type Answer = io::Result<Vec<u8>>;

/// What changes while a connection is used.
#[derive(Debug, Default)]
pub(crate) struct Connection {
    received: VecDeque<u8>,
    last_id: u32,
    pub(crate) watches: Watches,
    pub(crate) stats: Stats,
    /// Why the connection cannot be used any more.
    broken: Option<String>,
}

impl Connection {
    /// Sends the requests and waits for all answers, which come in the order of the requests.
    pub(crate) fn exchange(&mut self, transport: &Transport, batch: Batch, tx_id: u32) -> io::Result<Vec<Answer>> {
        let (mut bytes, requests) = batch.into_parts()?;
        self.check_usable()?;
        let mut answers = Vec::with_capacity(requests.len());
        let mut rest = requests.as_slice();
        while !rest.is_empty() {
            let (window, later) = rest.split_at(window_len(rest, transport));
            let result = self.exchange_window(transport, &mut bytes, window, tx_id);
            answers.extend(result.map_err(|e| self.broke(e))?);
            rest = later;
        }
        Ok(answers)
    }

    fn exchange_window(
        &mut self,
        transport: &Transport,
        bytes: &mut [u8],
        window: &[Request],
        tx_id: u32,
    ) -> io::Result<Vec<Answer>> {
        let mut pending = self.stamp(bytes, window, tx_id);
        let (Some(first), Some(last)) = (window.first(), window.last()) else { return Ok(Vec::new()) };
        self.stats.sends += transport.send(&bytes[first.range.start..last.range.end])? as u64;
        self.stats.requests += window.len() as u64;
        self.stats.waits += 1;
        while pending.unanswered > 0 {
            match self.next_message()? {
                Some((header, payload)) => self.dispatch(header, payload, &mut pending, bytes)?,
                None => self.fill(transport, pending.least_bytes())?,
            }
        }
        // Events that came behind the last answer: no poll would tell of them any more.
        self.queue_received_events()?;
        Ok(pending.answers.into_iter().flatten().collect())
    }

    /// Gives the requests of a window consecutive ids; 0 is left to watch events.
    fn stamp<'a>(&mut self, bytes: &mut [u8], window: &'a [Request], tx_id: u32) -> Pending<'a> {
        let first_id = self.last_id.checked_add(1 + window.len() as u32).map_or(1, |_| self.last_id + 1);
        for (id, request) in (first_id..).zip(window) {
            request.stamp(bytes, id, tx_id);
        }
        self.last_id = first_id + window.len() as u32;
        Pending { first_id, window, answers: window.iter().map(|_| None).collect(), unanswered: window.len() }
    }

    fn dispatch(&mut self, header: Header, payload: Vec<u8>, pending: &mut Pending, bytes: &[u8]) -> io::Result<()> {
        if header.kind == Kind::WatchEvent {
            return self.queue_event(&payload);
        }
        let Some(index) = pending.index_of(&header) else {
            return Err(protocol(format!("an answer to a request that was not made (id {})", header.req_id)));
        };
        let request = &pending.window[index];
        let answer = match header.kind {
            Kind::Error => match errno_of(&payload) {
                Errno::ENOENT if request.may_be_missing => Ok(Vec::new()),
                errno => Err(refused(request.kind, &request.object(bytes), errno)),
            },
            kind if kind == request.kind => Ok(payload),
            kind => {
                return Err(protocol(format!("an answer of kind {kind:?} to a request of kind {:?}", request.kind)));
            }
        };
        pending.answers[index] = Some(answer);
        pending.unanswered -= 1;
        Ok(())
    }

    fn queue_event(&mut self, payload: &[u8]) -> io::Result<()> {
        let mut parts = strings(payload);
        match (parts.next(), parts.next()) {
            (Some(path), Some(token)) => {
                self.watches.push(path, &token);
                Ok(())
            }
            _ => Err(protocol("a watch event without a token".into())),
        }
    }

    /// Takes a whole message out of what was received.
    fn next_message(&mut self) -> io::Result<Option<(Header, Vec<u8>)>> {
        if self.received.len() < HEADER_LEN {
            return Ok(None);
        }
        let mut head = [0; HEADER_LEN];
        for (to, from) in head.iter_mut().zip(&self.received) {
            *to = *from;
        }
        let header = Header::decode(&head).map_err(protocol)?;
        if self.received.len() < HEADER_LEN + header.len {
            return Ok(None);
        }
        self.received.drain(..HEADER_LEN);
        Ok(Some((header, self.received.drain(..header.len).collect())))
    }

    /// Receives more; `least` bytes are certain to come beyond a message that is here in part.
    fn fill(&mut self, transport: &Transport, least: usize) -> io::Result<()> {
        let mut buffer = [0; RECEIVE_CHUNK];
        self.stats.receives += 1;
        match transport.receive(&mut buffer, least.saturating_sub(self.received.len())) {
            Ok(0) => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "xenstored closed the connection")),
            Ok(n) => {
                self.received.extend(&buffer[..n]);
                Ok(())
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => Ok(()),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => Err(io::Error::new(
                io::ErrorKind::TimedOut,
                format!("xenstored did not answer within {} s: is it running?", REPLY_TIMEOUT.as_secs()),
            )),
            Err(e) => Err(e),
        }
    }

    /// Takes in the watch events that have arrived, without waiting.
    pub(crate) fn receive_events(&mut self, transport: &Transport) -> io::Result<()> {
        self.check_usable()?;
        self.receive_ready(transport).map_err(|e| self.broke(e))
    }

    fn receive_ready(&mut self, transport: &Transport) -> io::Result<()> {
        let mut buffer = [0; RECEIVE_CHUNK];
        loop {
            match transport.receive_ready(&mut buffer) {
                Ok(0) => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "xenstored closed the connection")),
                Ok(n) => self.received.extend(&buffer[..n]),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(e) => return Err(e),
            }
            self.queue_received_events()?;
            if self.received.is_empty() {
                return Ok(());
            }
        }
    }

    /// Queues the events that were received whole, while no request waits for an answer.
    fn queue_received_events(&mut self) -> io::Result<()> {
        while let Some((header, payload)) = self.next_message()? {
            match header.kind {
                Kind::WatchEvent => self.queue_event(&payload)?,
                kind => return Err(protocol(format!("a message of kind {kind:?} that nobody asked for"))),
            }
        }
        Ok(())
    }

    fn check_usable(&self) -> io::Result<()> {
        match &self.broken {
            None => Ok(()),
            Some(why) => Err(io::Error::new(io::ErrorKind::NotConnected, format!("xenstore connection lost: {why}"))),
        }
    }

    /// Marks the connection as unusable: the stream may be in the middle of a message.
    fn broke(&mut self, error: io::Error) -> io::Error {
        self.broken = Some(error.to_string());
        io::Error::new(error.kind(), format!("xenstore connection: {error}"))
    }
}

/// How many of these requests are sent at once.
fn window_len(requests: &[Request], transport: &Transport) -> usize {
    if matches!(transport, Transport::Device(_)) {
        return 1;
    }
    let start = requests.first().map_or(0, |r| r.range.start);
    let fit = requests.iter().take(WINDOW).take_while(|r| r.range.end - start <= WINDOW_BYTES).count();
    fit.max(1)
}

/// A window's requests that wait for their answers.
struct Pending<'a> {
    first_id: u32,
    window: &'a [Request],
    answers: Vec<Option<Answer>>,
    unanswered: usize,
}

impl Pending<'_> {
    /// Which request this message answers, if one still waits.
    fn index_of(&self, header: &Header) -> Option<usize> {
        let waits = |i: &usize| self.answers.get(*i).is_some_and(Option::is_none);
        // The kernel's device answers watch requests itself, in order, and without their ids.
        if header.req_id == 0 && matches!(header.kind, Kind::Watch | Kind::Unwatch) {
            return (0..self.window.len()).filter(waits).find(|i| self.window[*i].kind == header.kind);
        }
        let index = header.req_id.checked_sub(self.first_id)? as usize;
        Some(index).filter(waits)
    }

    /// The fewest bytes in which all missing answers can come.
    fn least_bytes(&self) -> usize {
        let missing = self.answers.iter().zip(self.window).filter(|(answer, _)| answer.is_none());
        missing.map(|(_, request)| HEADER_LEN + request.kind.least_reply()).sum()
    }
}

fn protocol(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("xenstored sent {what}"))
}

/// A request that xenstored refused; kept inside the `io::Error` so that its errno can be asked for.
#[derive(Debug, thiserror::Error)]
#[error("{request} in xenstore: {}", .errno.desc())]
pub struct Refused {
    /// What was asked: `reading /local/domain/1/name`.
    request: String,
    /// Why not.
    pub errno: Errno,
}

fn refused(kind: Kind, object: &str, errno: Errno) -> io::Error {
    let request = match kind {
        Kind::TransactionStart | Kind::TransactionEnd | Kind::ResetWatches => kind.verb().to_owned(),
        _ => format!("{} {object}", kind.verb()),
    };
    io::Error::new(io::Error::from(errno).kind(), Refused { request, errno })
}

/// The errno with which xenstored refused a request; none where something else went wrong.
pub fn errno(error: &io::Error) -> Option<Errno> {
    error.get_ref()?.downcast_ref::<Refused>().map(|refused| refused.errno)
}
