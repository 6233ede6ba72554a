//! Restoring: a stream into a domain that was made for it, empty and paused.

use super::hvm_memory::HvmMemory;
use super::memory_in::Guest;
use super::pv::restore::PvGuest;
use super::{During, Error, Result, hvm};
use crate::cpuid::CpuPolicy;
use crate::cpuid::{CpuidPolicy, MsrPolicy};
use crate::domain::DomainFlags;
use crate::foreign::SeededPages;
use crate::hvm::HvmParam;
use crate::stream::x86::{TscInfo, decode_cpuid_policy, decode_hvm_params, decode_msr_policy};
use crate::stream::{DomainHeader, GuestKind, ImageHeader, PageData, RecordHeader, RecordType, StreamError};
use crate::types::PAGE_SIZE;
use crate::{DomId, EvtchnPort, Gfn, Xc};
use nix::sys::memfd::{MFdFlags, memfd_create};
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::fd::BorrowedFd;

/// Where to restore to, and who serves the guest's two rings.
#[derive(Clone, Copy, Debug)]
pub struct RestoreOptions {
    /// The domain.
    pub domid: DomId,
    /// The guest's port to xenstored.
    pub store_port: EvtchnPort,
    /// Where xenstored runs.
    pub store_domain: DomId,
    /// The guest's port to xenconsoled.
    pub console_port: EvtchnPort,
    /// Where xenconsoled runs.
    pub console_domain: DomId,
    /// The stream may go on from one checkpoint to the next (`XC_STREAM_REMUS`).
    pub checkpoints: bool,
}

/// What the caller needs to connect the restored guest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Restored {
    /// The page of the ring to xenstored.
    pub store: Gfn,
    /// The page of the console's ring.
    pub console: Gfn,
}

/// What a restore needs from the rest of the toolstack.
pub trait RestoreControl {
    /// All that never changes has been read; these parts of the CPU policy were not in the stream.
    fn static_data_done(&mut self, cpuid_missing: bool, msrs_missing: bool) -> Result<()>;
    /// A checkpoint has come: takes in what of it stands in the stream beside the guest's memory and processors. Whether that
    /// was whole; if not, the sender is gone.
    fn checkpoint(&mut self) -> Result<bool>;
    /// A step was reached.
    fn progress(&mut self, what: &str);
    /// Something is odd, but the restore goes on.
    fn warn(&mut self, what: &str);
}

/// Restores the stream behind `from` into a domain. Reads not one byte beyond the stream's end. One with checkpoints may break
/// off once the first is whole: the guest is as of the last one then.
pub fn restore(
    xc: &Xc,
    from: BorrowedFd<'_>,
    options: RestoreOptions,
    control: &mut dyn RestoreControl,
) -> Result<Restored> {
    let info = xc.domain(options.domid).during("finding the domain")?;
    let info = info.ok_or_else(|| Error::State(format!("domain {} does not exist", options.domid)))?;
    let guest = if info.flags.contains(DomainFlags::HVM) {
        Guest::Hvm(HvmMemory::of(&info))
    } else {
        Guest::Pv(Box::new(PvGuest::empty(xc, &info)?))
    };
    let from = File::from(from.try_clone_to_owned().during("opening the stream")?);
    let mut restore = Restore {
        xc,
        options,
        guest,
        from,
        control,
        version: 0,
        static_data_seen: false,
        policy: CpuPolicy::default(),
        context: None,
        verify: false,
        put_by: None,
        pages_max: info.max_pages,
        restored: Restored::default(),
    };
    restore.headers()?;
    restore.records()?;
    restore.complete()?;
    Ok(restore.restored)
}

struct Restore<'a> {
    xc: &'a Xc,
    options: RestoreOptions,
    guest: Guest<'a>,
    from: File,
    control: &'a mut dyn RestoreControl,
    /// The stream's version.
    version: u32,
    static_data_seen: bool,
    policy: CpuPolicy,
    /// The state of the virtual hardware: Xen takes it once everything else is there.
    context: Option<Vec<u8>>,
    /// Pages are compared with what is there, no longer stored.
    verify: bool,
    /// What has come since the last checkpoint, if there was one.
    put_by: Option<PutBy>,
    /// The most pages that the guest may have.
    pages_max: u64,
    restored: Restored,
}

/// Records that become the guest's when their checkpoint is whole: until then its sender may be lost.
struct PutBy {
    file: File,
    records: u64,
    /// How many bytes may still come.
    room: u64,
}

/// A checkpoint has each page of the guest once at most, with its number, ...
const PUT_BY_PER_PAGE: u64 = PAGE_SIZE as u64 + 8;
/// ... the heads of records, the processors, the virtual hardware.
const PUT_BY_BESIDE: u64 = 128 << 20;

impl PutBy {
    /// With room for one checkpoint of a guest with so many pages.
    fn room_for(pages: u64) -> Result<PutBy> {
        let file = memfd_create(c"checkpoint", MFdFlags::MFD_CLOEXEC).map_err(io::Error::from);
        let room = pages.saturating_mul(PUT_BY_PER_PAGE).saturating_add(PUT_BY_BESIDE);
        Ok(PutBy { file: file.during("making room for a checkpoint")?.into(), records: 0, room })
    }

    fn add(&mut self, header: &RecordHeader, body: &[u8]) -> Result<()> {
        let left = self.room.checked_sub((RecordHeader::SIZE + body.len()) as u64);
        self.room = left.ok_or_else(|| Error::State("a checkpoint is larger than the guest".into()))?;
        self.records += 1;
        let written = self.file.write_all(&header.encode()).and_then(|()| self.file.write_all(body));
        written.during("keeping a checkpoint")
    }
}

impl Restore<'_> {
    /// All records: to the end of the stream, or to where it breaks off after a checkpoint.
    fn records(&mut self) -> Result<()> {
        loop {
            let kind = match self.put_by.is_some() {
                false => self.record()?,
                true => match self.put_by() {
                    Ok(kind) => kind,
                    Err(e) if e.is_end_of_stream() => {
                        self.control.warn(&format!("the guest goes on from its last checkpoint: {e}"));
                        return Ok(());
                    }
                    // The sender lives: its guest is not to run twice.
                    Err(e) => return Err(e),
                },
            };
            match kind {
                RecordType::End => return Ok(()),
                RecordType::Checkpoint if !self.checkpoint()? => return Ok(()),
                _ => {}
            }
        }
    }

    /// Puts one record by, unless it ends something.
    fn put_by(&mut self) -> Result<RecordType> {
        let Some((header, kind)) = self.head()? else { return Ok(RecordType::StaticDataEnd) };
        let body = self.bytes(header.padded_length())?;
        match &mut self.put_by {
            Some(put_by) if !matches!(kind, RecordType::End | RecordType::Checkpoint) => put_by.add(&header, &body)?,
            _ => {}
        }
        Ok(kind)
    }

    /// A checkpoint has come. What was put by becomes the guest's if it is whole; whether the stream goes on.
    fn checkpoint(&mut self) -> Result<bool> {
        let is_whole = self.control.checkpoint()?;
        match self.put_by.take() {
            Some(put_by) if is_whole => self.take_in(put_by)?,
            None if !is_whole => return Err(Error::State("the sender is gone before its first checkpoint".into())),
            _ => {}
        }
        if is_whole {
            self.put_by = Some(PutBy::room_for(self.pages_max)?);
        }
        Ok(is_whole)
    }

    /// Does what records that were put by ask for.
    fn take_in(&mut self, mut put_by: PutBy) -> Result<()> {
        put_by.file.rewind().during("reading a checkpoint")?;
        if let Guest::Pv(pv) = &mut self.guest {
            pv.forget_vcpus();
        }
        let stream = std::mem::replace(&mut self.from, put_by.file);
        let taken = (0..put_by.records).try_for_each(|_| self.record().map(drop));
        self.from = stream;
        taken
    }

    fn headers(&mut self) -> Result<()> {
        self.version = ImageHeader::decode(&self.array()?)?.version;
        let domain = DomainHeader::decode(&self.array()?)?;
        let name = match (domain.kind, &self.guest) {
            (GuestKind::Hvm, Guest::Hvm(_)) => "x86 HVM",
            (GuestKind::Pv, Guest::Pv(_)) => "x86 PV",
            (GuestKind::Hvm, _) => {
                return Err(Error::State("an HVM or PVH guest cannot be restored into a PV domain".into()));
            }
            (GuestKind::Pv, _) => {
                return Err(Error::State("a PV guest cannot be restored into an HVM or PVH domain".into()));
            }
        };
        self.control.progress(&match domain.xen_major {
            0 => format!("Found {name} domain, converted from legacy stream format"),
            major => format!("Found {name} domain from Xen {major}.{}", domain.xen_minor),
        });
        Ok(())
    }

    /// Reads the head of a record; `None` after an unknown optional one, which is skipped.
    fn head(&mut self) -> Result<Option<(RecordHeader, RecordType)>> {
        let header = RecordHeader::decode(&self.array()?)?;
        let Some(kind) = header.kind()? else {
            self.control.warn(&format!("skipping the unknown optional record {:#x}", header.number));
            self.bytes(header.padded_length())?;
            return Ok(None);
        };
        kind.check(self.version, header.length as usize)?;
        Ok(Some((header, kind)))
    }

    /// Reads one record and does what it asks for.
    fn record(&mut self) -> Result<RecordType> {
        let Some((header, kind)) = self.head()? else { return Ok(RecordType::StaticDataEnd) };
        if kind == RecordType::PageData {
            self.pages(&header)?;
            return Ok(kind);
        }
        let padded = self.bytes(header.padded_length())?;
        self.process(kind, header.body(&padded)?)?;
        Ok(kind)
    }

    fn process(&mut self, kind: RecordType, body: &[u8]) -> Result<()> {
        let unexpected = |why: &str| Err(StreamError::new(kind.name(), why).into());
        match kind {
            RecordType::End => {}
            RecordType::StaticDataEnd => self.static_data_end()?,
            RecordType::CpuidPolicy => self.policy.cpuid = CpuidPolicy(decode_cpuid_policy(body)?),
            RecordType::MsrPolicy => self.policy.msrs = MsrPolicy(decode_msr_policy(body)?),
            RecordType::TscInfo => self.set_tsc(TscInfo::decode(body)?)?,
            RecordType::HvmContext if self.is_hvm() => self.context = Some(body.to_vec()),
            RecordType::HvmParams if self.is_hvm() => {
                for param in decode_hvm_params(body)? {
                    hvm::restore_param(self.xc, self.options.domid, param, &mut self.restored)?;
                }
            }
            RecordType::Verify => self.verify = true,
            RecordType::Checkpoint if self.options.checkpoints => {}
            RecordType::Checkpoint => return unexpected("a checkpoint in a stream that has none"),
            RecordType::PageData => return unexpected("is read apart"),
            RecordType::PvP2mFrames => {
                self.infer_static_data_end()?;
                return self.pv(kind, body);
            }
            RecordType::PvInfo
            | RecordType::SharedInfo
            | RecordType::PvVcpuBasic
            | RecordType::PvVcpuExtended
            | RecordType::PvVcpuXsave
            | RecordType::PvVcpuMsrs => return self.pv(kind, body),
            _ => return unexpected("does not belong into the stream of such a guest"),
        }
        Ok(())
    }

    fn is_hvm(&self) -> bool {
        matches!(self.guest, Guest::Hvm(_))
    }

    fn pv(&mut self, kind: RecordType, body: &[u8]) -> Result<()> {
        match &mut self.guest {
            Guest::Pv(pv) => pv.process(kind, body),
            Guest::Hvm(_) => {
                Err(StreamError::new(kind.name(), "does not belong into the stream of an HVM or PVH guest").into())
            }
        }
    }

    /// Version 2 has no record for the end of the static data: the first of what follows it tells.
    fn infer_static_data_end(&mut self) -> Result<()> {
        if self.version < 3 && !self.static_data_seen { self.static_data_end() } else { Ok(()) }
    }

    fn static_data_end(&mut self) -> Result<()> {
        if std::mem::replace(&mut self.static_data_seen, true) {
            return Err(StreamError::new(RecordType::StaticDataEnd.name(), "comes twice").into());
        }
        let (no_cpuid, no_msrs) = (self.policy.cpuid.0.is_empty(), self.policy.msrs.0.is_empty());
        if !(no_cpuid && no_msrs) {
            let set = self.xc.set_cpu_policy(self.options.domid, &self.policy);
            set.during("giving the guest the processor that it knows")?;
        }
        self.control.static_data_done(no_cpuid, no_msrs)
    }

    /// A record of pages: their content goes straight into the guest's memory.
    fn pages(&mut self, header: &RecordHeader) -> Result<()> {
        self.infer_static_data_end()?;
        let place = RecordType::PageData.name();
        if !self.static_data_seen {
            return Err(StreamError::new(place, "comes before STATIC_DATA_END").into());
        }
        let length = header.length as usize;
        // A record of n pages is at most 8 + n * (8 + 4096) bytes long: it has at least so many frame numbers,
        // which can be read together with its first bytes.
        let sure = length.saturating_sub(PageData::PREFIX).div_ceil(8 + PAGE_SIZE);
        let mut head = self.bytes((PageData::PREFIX + sure * 8).min(length))?;
        let prefix = head.first_chunk().ok_or_else(|| StreamError::new(place, "too short"))?;
        let count = PageData::count(prefix, length)?;
        if count < sure {
            return Err(StreamError::new(place, format!("count: {count} pages do not fill {length} bytes")).into());
        }
        head.extend(self.bytes((count - sure) * 8)?);
        let pages = PageData::decode(&head[PageData::PREFIX..], length)?;
        for pfn in self.guest.take(self.xc, self.options.domid, &pages, &mut self.from, self.verify)? {
            self.control.warn(&format!("verify pfn {pfn:#x} failed"));
        }
        self.bytes(header.padded_length() - length).map(drop)
    }

    fn set_tsc(&mut self, tsc: TscInfo) -> Result<()> {
        let tsc =
            crate::domain::TscInfo { mode: tsc.mode, khz: tsc.khz, incarnation: tsc.incarnation, elapsed_ns: tsc.nsec };
        self.xc.set_tsc(self.options.domid, tsc).during("setting the time stamp counter")
    }

    /// The last steps, once the whole stream was read.
    fn complete(&mut self) -> Result<()> {
        let (xc, RestoreOptions { domid, store_domain, console_domain, .. }) = (self.xc, self.options);
        match &mut self.guest {
            Guest::Pv(pv) => self.restored = pv.complete(&self.options)?,
            Guest::Hvm(memory) => {
                if memory.gigapages() > 0 {
                    self.control.progress(&format!("Extents of 1 GiB: {}", memory.gigapages()));
                    memory.take_back(xc, domid)?;
                }
                let (store, console) = (self.options.store_port, self.options.console_port);
                xc.set_hvm_param(domid, HvmParam::StoreEvtchn, store.0.into()).during("setting xenstore's port")?;
                xc.set_hvm_param(domid, HvmParam::ConsoleEvtchn, console.0.into())
                    .during("setting the console's port")?;
                let context = self.context.take();
                let context = context.ok_or_else(|| Error::State("the stream has no HVM_CONTEXT".into()))?;
                xc.set_hvm_context(domid, &context).during("setting the state of the virtual hardware")?;
            }
        }
        let Restored { store, console } = self.restored;
        let pages = SeededPages { console: console.0, console_domain, store: store.0, store_domain };
        xc.seed_grants(domid, pages).during("granting the guest's rings")
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut bytes = [0; N];
        self.from.read_exact(&mut bytes).during("reading the stream")?;
        Ok(bytes)
    }

    /// Exactly `count` bytes; memory grows with what really arrives.
    fn bytes(&mut self, count: usize) -> Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(count.min(1 << 20));
        while bytes.len() < count {
            let from = bytes.len();
            bytes.resize(count.min(from + (1 << 20)), 0);
            self.from.read_exact(&mut bytes[from..]).during("reading the stream")?;
        }
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_checkpoint_is_larger_than_the_guest() {
        let mut put_by = PutBy::room_for(2).unwrap();
        let body = vec![0; PUT_BY_BESIDE as usize / 2];
        let header = RecordHeader::new(RecordType::PageData, body.len()).unwrap();
        put_by.add(&header, &body).unwrap();
        assert_eq!(put_by.file.metadata().unwrap().len(), (RecordHeader::SIZE + body.len()) as u64);
        put_by.add(&header, &body).unwrap();
        assert_eq!(put_by.room, 2 * PUT_BY_PER_PAGE - 2 * RecordHeader::SIZE as u64);
        assert!(put_by.add(&header, &body).unwrap_err().to_string().contains("larger than the guest"));
        assert_eq!(put_by.records, 2);
    }
}
