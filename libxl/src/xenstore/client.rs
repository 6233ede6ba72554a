//! The client: a shared connection, and the requests about domains.

use super::Batch;
use super::connection::{Answer, Connection, Stats, Transport};
use super::store::{self, Store};
use super::wire::{Kind, strings};
use libxc::{DomId, EvtchnPort, Gfn};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use xenstore_rs::Xs;

/// A connection to xenstored. Clones share it, and so do threads: one exchange at a time.
#[derive(Clone, Debug)]
pub struct Client {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    transport: Transport,
    connection: Mutex<Connection>,
}

impl Client {
    /// Connects to xenstored: by its socket, else through the kernel's device (in a domain without
    /// xenstored of its own). The error names both.
    pub fn open(socket: &Path, device: &Path) -> io::Result<Client> {
        let transport = Transport::open(socket).or_else(|first| {
            Transport::open(device).map_err(|second| {
                let both = format!("{}: {first}; {}: {second}", socket.display(), device.display());
                io::Error::new(first.kind(), both)
            })
        })?;
        Ok(Client::over(transport))
    }

    /// Speaks over a socket that is connected already.
    pub fn from_socket(socket: UnixStream) -> io::Result<Client> {
        Ok(Client::over(Transport::socket(socket)?))
    }

    fn over(transport: Transport) -> Client {
        Client { shared: Arc::new(Shared { transport, connection: Mutex::default() }) }
    }

    /// What the connection has cost so far.
    pub fn stats(&self) -> Stats {
        self.lock().stats
    }

    /// Whether both share one connection.
    pub(crate) fn is_same(&self, other: &Client) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }

    pub(crate) fn transport(&self) -> &Transport {
        &self.shared.transport
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Connection> {
        self.shared.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn exchange(&self, batch: Batch, tx_id: u32) -> io::Result<Vec<Answer>> {
        self.lock().exchange(self.transport(), batch, tx_id)
    }

    /// Connects a domain to xenstored: `gfn` is its store page, `port` its event channel's end in the
    /// domain. Fires `@introduceDomain`.
    pub fn introduce(&self, domid: DomId, gfn: Gfn, port: EvtchnPort) -> io::Result<()> {
        // The frame is a signed decimal by the protocol.
        self.domain_request(Kind::Introduce, &[&domid, &(gfn.0 as i64), &port]).map(drop)
    }

    /// Disconnects a domain. Fires `@releaseDomain`.
    pub fn release(&self, domid: DomId) -> io::Result<()> {
        self.domain_request(Kind::Release, &[&domid]).map(drop)
    }

    /// Lets a domain's next shutdown fire `@releaseDomain` again, after it was resumed.
    pub fn resume(&self, domid: DomId) -> io::Result<()> {
        self.domain_request(Kind::Resume, &[&domid]).map(drop)
    }

    /// Gives a domain the rights of its target: a stub domain over the guest it serves.
    pub fn set_target(&self, domid: DomId, target: DomId) -> io::Result<()> {
        self.domain_request(Kind::SetTarget, &[&domid, &target]).map(drop)
    }

    /// Whether xenstored is connected to a domain.
    pub fn is_domain_introduced(&self, domid: DomId) -> io::Result<bool> {
        Ok(self.domain_request(Kind::IsDomainIntroduced, &[&domid])?.starts_with(b"T"))
    }

    /// A domain's own directory: `/local/domain/D`.
    pub fn get_domain_path(&self, domid: DomId) -> io::Result<String> {
        let payload = self.domain_request(Kind::GetDomainPath, &[&domid])?;
        Ok(strings(&payload).next().unwrap_or_default())
    }

    /// Ends all watches and transactions of this connection.
    pub fn reset_watches(&self) -> io::Result<()> {
        let mut batch = Batch::new();
        batch.request(Kind::ResetWatches, &[&[0]]);
        self.run(batch)
    }

    /// Gives xenstored itself a command (`check`, `log on`, ...); the answer is its text.
    pub fn control(&self, arguments: &[&str]) -> io::Result<String> {
        let payload: Vec<u8> = arguments.iter().flat_map(|a| a.bytes().chain([0])).collect();
        let mut batch = Batch::new();
        batch.request(Kind::Control, &[&payload]);
        let answer = self.submit_one(batch)?;
        Ok(String::from_utf8_lossy(answer.strip_suffix(&[0]).unwrap_or(&answer)).into_owned())
    }

    /// A request whose arguments are numbers, the first a domid.
    fn domain_request(&self, kind: Kind, arguments: &[&dyn std::fmt::Display]) -> io::Result<Vec<u8>> {
        let payload: String = arguments.iter().map(|a| format!("{a}\0")).collect();
        let mut batch = Batch::new();
        batch.request(kind, &[payload.as_bytes()]);
        self.submit_one(batch)
    }
}

impl AsFd for Client {
    /// Readable when watch events may have arrived.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.transport().as_fd()
    }
}

impl Store for Client {
    fn submit(&self, batch: Batch) -> io::Result<Vec<io::Result<Vec<u8>>>> {
        self.exchange(batch, 0)
    }
}

impl Xs for Client {
    fn directory(&self, path: &str) -> io::Result<Vec<Box<str>>> {
        Ok(store::list(self, path)?.into_iter().map(String::into_boxed_str).collect())
    }

    fn read(&self, path: &str) -> io::Result<Box<str>> {
        store::read_str(self, path)
    }

    fn write(&self, path: &str, data: &str) -> io::Result<()> {
        self.write_bytes(path, data.as_bytes())
    }

    fn rm(&self, path: &str) -> io::Result<()> {
        store::rm(self, path)
    }
}
