//! Transactions: all changes at once, or none.

use super::store::{self, Store};
use super::wire::{Kind, strings};
use super::{Batch, Client, errno};
use crate::error::{Error, Result, ResultExt};
use nix::errno::Errno;
use std::io;
use xenstore_rs::{Xs, XsTransaction, XsTransactionSpan};

/// Conflicts in a row after which a transaction is given up. Each means that somebody else's change
/// got through.
const MAX_CONFLICTS: u32 = 1000;

/// An open transaction; dropped without [`Transaction::commit`], it is discarded.
#[derive(Debug)]
pub struct Transaction {
    client: Client,
    id: u32,
    open: bool,
}

impl Client {
    /// Runs `work` in a transaction and commits it; again, from the start, when somebody else changed
    /// what it read or wrote. An error of `work` discards the transaction.
    pub fn transaction<T>(&self, mut work: impl FnMut(&Transaction) -> Result<T>) -> Result<T> {
        for _ in 0..MAX_CONFLICTS {
            let transaction = self.start_transaction()?;
            let value = work(&transaction)?;
            match transaction.commit() {
                Ok(()) => return Ok(value),
                Err(e) if errno(&e) == Some(Errno::EAGAIN) => tracing::trace!("xenstore transaction conflicts"),
                Err(e) => return Err(e.into()),
            }
        }
        Err(Error::fail(format!("gave up after {MAX_CONFLICTS} conflicts"))).context("committing to xenstore")
    }

    /// Writes what the batch says, all of it or nothing, in three waits.
    pub fn run_atomic(&self, mut fill: impl FnMut(&mut Batch)) -> Result<()> {
        self.transaction(|t| {
            let mut batch = Batch::new();
            fill(&mut batch);
            Ok(t.run(batch)?)
        })
    }

    /// Opens a transaction.
    pub fn start_transaction(&self) -> io::Result<Transaction> {
        let mut batch = Batch::new();
        batch.request(Kind::TransactionStart, &[&[0]]);
        let payload = self.submit_one(batch)?;
        let id = strings(&payload).next().and_then(|s| s.parse().ok()).filter(|id| *id != 0);
        let id = id.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "xenstored gave no transaction id"))?;
        Ok(Transaction { client: self.clone(), id, open: true })
    }
}

impl Transaction {
    /// Makes the changes real. `EAGAIN`: somebody else's change was in the way; start again.
    pub fn commit(mut self) -> io::Result<()> {
        self.end(b"T\0")
    }

    fn end(&mut self, verdict: &[u8]) -> io::Result<()> {
        self.open = false;
        let mut batch = Batch::new();
        batch.request(Kind::TransactionEnd, &[verdict]);
        self.run(batch)
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        if self.open
            && let Err(error) = self.end(b"F\0")
        {
            tracing::debug!(%error, "discarding a xenstore transaction");
        }
    }
}

impl Store for Transaction {
    fn submit(&self, batch: Batch) -> io::Result<Vec<io::Result<Vec<u8>>>> {
        self.client.exchange(batch, self.id)
    }
}

impl Xs for Transaction {
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

impl XsTransaction for Client {
    type Span = Transaction;

    fn transaction(&self) -> io::Result<Transaction> {
        self.start_transaction()
    }
}

impl XsTransactionSpan for Transaction {
    fn commit(self) -> io::Result<()> {
        Transaction::commit(self)
    }
}
