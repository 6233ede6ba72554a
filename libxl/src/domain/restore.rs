//! A guest out of a stream: it is created as any other, but its memory and processors come from the stream.

use super::create::{self, Options};
use super::platform::{self, Channels};
use crate::Ctx;
use crate::dm::hvm::Received;
use crate::error::{Error, Result, ResultExt};
use crate::event::{Deadline, Patient};
use crate::save_helper::{self, Checkpoint, Questions, Rings, no_checkpoints};
use crate::stream::{Form, RecordHeader, RecordType, StreamHeader};
use crate::stream_filter::Decoder;
use crate::types::{DomainConfig, DomainType};
use libxc::DomId;
use libxc::build::Built;
use std::cell::Cell;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};

/// The questions that the save helper may ask, a bit for the number of each message, and the one more in a stream with
/// checkpoints.
const CALLBACKS: u32 = 1 << 8 | 1 << 9;
const CHECKPOINT_CALLBACK: u32 = 1 << 5;
/// Bit of the question whether the CPU policy was in the stream: it was not (`XGR_SDD_MISSING_CPUID`, xenguest.h).
const NO_CPUID: u32 = 1 << 0;

/// Where a guest comes from.
#[derive(Clone, Copy, Debug)]
pub struct Stream<'a> {
    /// What to read.
    pub from: BorrowedFd<'a>,
    /// What form it has ([`SaveFileHeader`](crate::stream::SaveFileHeader) tells).
    pub form: Form,
    /// Whether it goes on from one checkpoint of the guest to the next (Remus, `xl remus`). It is whole wherever it ends behind
    /// the first: the guest is the one of the last.
    pub checkpoints: bool,
}

/// Creates a domain out of a stream and leaves it paused (`libxl_domain_create_restore`). Nothing beyond the stream's
/// end is read, unless it is a legacy one.
///
/// # Errors
/// As [`create`](super::create()): nothing of the domain is left then.
pub fn restore(
    ctx: &Ctx,
    given: &DomainConfig,
    options: &Options<'_>,
    stream: Stream<'_>,
    progress: &mut dyn FnMut(&str, u64, u64),
) -> Result<DomId> {
    let name = given.c_info.name.as_deref().unwrap_or("a domain without a name");
    let incoming = Incoming::open(ctx, stream, given.b_info.domain_type(), progress)
        .with_context(|| format!("restoring {name}"))?;
    create::birth(ctx, given, options, Some(incoming)).with_context(|| format!("restoring {name}"))
}

/// A stream of which the header was read.
pub(super) struct Incoming<'a> {
    from: File,
    decoder: Option<Decoder>,
    checkpoints: bool,
    progress: &'a mut dyn FnMut(&str, u64, u64),
}

/// What came out of a stream.
pub(super) struct Arrived {
    /// The domain as it was filled.
    pub built: Built,
    /// The state of an HVM guest's device model.
    pub device_model: Option<Received>,
}

impl<'a> Incoming<'a> {
    fn open(
        ctx: &Ctx,
        stream: Stream<'_>,
        guest: DomainType,
        progress: &'a mut dyn FnMut(&str, u64, u64),
    ) -> Result<Incoming<'a>> {
        let decoder = match stream.form {
            Form::Libxl => None,
            _ if stream.checkpoints => {
                return Err(Error::invalid("a stream with checkpoints is neither compressed nor a legacy one"));
            }
            Form::Compressed => Some(Decoder::decompress(ctx, stream.from)?),
            Form::Legacy => Some(Decoder::convert(ctx, stream.from, guest)?),
        };
        let plain = decoder.as_ref().map_or(stream.from, AsFd::as_fd);
        let from = File::from(plain.try_clone_to_owned().context("the stream")?);
        let mut incoming = Incoming { from, decoder, checkpoints: stream.checkpoints, progress };
        match incoming.header(ctx) {
            Ok(()) => Ok(incoming),
            Err(e) => Err(incoming.explain(ctx, e)),
        }
    }

    /// Gives the domain its memory and processors, and reads the stream to its end.
    pub(super) fn memory(
        mut self,
        ctx: &Ctx,
        config: &DomainConfig,
        domid: DomId,
        channels: &Channels,
    ) -> Result<Arrived> {
        match self.records(ctx, config, domid, channels) {
            Ok(arrived) => self.decoder.map_or(Ok(()), |decoder| decoder.finish(ctx)).map(|()| arrived),
            Err(e) => Err(self.explain(ctx, e)),
        }
    }

    fn header(&mut self, ctx: &Ctx) -> Result<()> {
        StreamHeader::decode(&read(ctx, &self.from)?)?;
        Ok(())
    }

    fn records(&mut self, ctx: &Ctx, config: &DomainConfig, domid: DomId, channels: &Channels) -> Result<Arrived> {
        let hvm = config.c_info.type_ == DomainType::Hvm;
        let records = Records { ctx, from: &self.from, domid, hvm, ended: Cell::new(false) };
        let device_model = records.device_model(Received::default(), RecordType::LibxcContext)?;
        let checkpoint = self.checkpoints.then(Received::default);
        let mut questions = Restoring { records, config, checkpoint, progress: self.progress };
        let arguments = arguments(domid, channels, self.checkpoints);
        let from = self.from.as_fd();
        let rings = save_helper::run(ctx, "--restore-domain", from, &arguments, &mut questions, Deadline::NEVER)?;
        let Rings { store, console } = rings.ok_or_else(|| Error::fail("the save helper told of no rings"))?;
        let device_model = match questions.checkpoint {
            Some(of_last_checkpoint) => of_last_checkpoint,
            None => questions.records.device_model(device_model, RecordType::End)?,
        };
        Ok(Arrived {
            built: Built { store_frame: store, console_frame: console },
            device_model: hvm.then_some(device_model),
        })
    }

    /// Why the stream could not be read: the decoder's reason, if it has one.
    fn explain(self, ctx: &Ctx, error: Error) -> Error {
        match self.decoder {
            Some(decoder) => decoder.explain(ctx, error),
            None => error,
        }
    }
}

/// libxl's records, as they come out of a stream.
struct Records<'a> {
    ctx: &'a Ctx,
    from: &'a File,
    domid: DomId,
    hvm: bool,
    /// Whether the stream has come to its end while more was to be read.
    ended: Cell<bool>,
}

impl Read for &Records<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = Patient::new(self.ctx, self.from, Deadline::NEVER).read(into);
        let ended = match &read {
            Ok(length) => *length == 0 && !into.is_empty(),
            Err(e) => e.kind() == io::ErrorKind::ConnectionReset,
        };
        self.ended.set(ended);
        read
    }
}

impl Records<'_> {
    /// Adds the device model's records, up to one of this kind. Only HVM guests have any.
    fn device_model(&self, mut received: Received, end: RecordType) -> Result<Received> {
        loop {
            let mut header = [0; RecordHeader::SIZE];
            let mut from = self;
            from.read_exact(&mut header).context("the stream")?;
            let header = RecordHeader::decode(&header)?;
            match header.kind {
                kind if kind == end => return Ok(received),
                RecordType::EmulatorXenstoreData | RecordType::EmulatorContext if self.hvm => {
                    received.take(self.ctx, self.domid, header, &mut from).context(header.kind.name())?;
                }
                found => {
                    let guest = if self.hvm { "an HVM" } else { "a PV or PVH" };
                    let (found, end) = (found.name(), end.name());
                    return Err(Error::fail(format!("the stream: {found} where {guest} guest has {end}")));
                }
            }
        }
    }
}

fn read<const N: usize>(ctx: &Ctx, from: &File) -> Result<[u8; N]> {
    let mut bytes = [0; N];
    Patient::new(ctx, from, Deadline::NEVER).read_exact(&mut bytes).context("the stream")?;
    Ok(bytes)
}

/// What the helper is told: no back channel, the domain, the guest's ports and who is at their other ends, questions,
/// whether the stream has checkpoints.
fn arguments(domid: DomId, channels: &Channels, checkpoints: bool) -> [String; 8] {
    let Channels { store, console } = channels;
    let ends = [store.port.0, store.domid.0.into(), console.port.0, console.domid.0.into()].map(|n| n.to_string());
    let [store_port, store_domain, console_port, console_domain] = ends;
    let callbacks = if checkpoints { CALLBACKS | CHECKPOINT_CALLBACK } else { CALLBACKS };
    let (back, domid, kind) = ("-1".into(), domid.to_string(), u8::from(checkpoints).to_string());
    [back, domid, store_port, store_domain, console_port, console_domain, callbacks.to_string(), kind]
}

struct Restoring<'a> {
    records: Records<'a>,
    config: &'a DomainConfig,
    /// In a stream with checkpoints what the last one had of the device model.
    checkpoint: Option<Received>,
    progress: &'a mut dyn FnMut(&str, u64, u64),
}

impl Questions for Restoring<'_> {
    fn suspend(&mut self) -> Result<()> {
        Err(Error::fail("the save helper asks what only a save asks"))
    }

    fn log_dirty_devices(&mut self, _enable: bool) -> Result<()> {
        self.suspend()
    }

    /// Streams of Xen before 4.14 do not say what processor the guest has seen: it is made up as it was then.
    fn static_data_done(&mut self, missing: u32) -> Result<()> {
        match missing & NO_CPUID {
            0 => Ok(()),
            _ => platform::cpuid(self.records.ctx, &self.config.b_info, self.records.domid, true),
        }
    }

    fn go_on(&mut self) -> Result<()> {
        self.suspend()
    }

    /// The sender may be lost amid its records. Then they do not count, nor does what came with them.
    fn checkpoint(&mut self) -> Result<Checkpoint> {
        let last = self.checkpoint.as_mut().ok_or_else(no_checkpoints)?;
        match self.records.device_model(Received::default(), RecordType::CheckpointEnd) {
            Ok(received) => {
                *last = received;
                Ok(Checkpoint::Whole)
            }
            Err(e) if self.records.ended.get() => {
                tracing::warn!("{e}");
                Ok(Checkpoint::Lost)
            }
            Err(e) => Err(e),
        }
    }

    fn progress(&mut self, what: &str, done: u64, total: u64) {
        (self.progress)(what, done, total);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Paths;
    use libxc::EvtchnPort;
    use libxc::build::Ring;
    use std::io::{Seek, Write};

    fn file(bytes: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file.rewind().unwrap();
        file
    }

    fn ctx() -> Ctx {
        Ctx::new(Paths::installed("/usr".as_ref()))
    }

    fn open<'a>(file: &File, progress: &'a mut dyn FnMut(&str, u64, u64)) -> Result<Incoming<'a>> {
        Incoming::open(
            &ctx(),
            Stream { from: file.as_fd(), form: Form::Libxl, checkpoints: true },
            DomainType::Pv,
            progress,
        )
    }

    #[test]
    fn the_helpers_arguments_are_those_of_stock_libxl() {
        let ring = |port| Ring { port: EvtchnPort(port), domid: DomId(0) };
        let channels = Channels { store: ring(1), console: ring(2) };
        // --restore-domain 12 -1 3 1 0 2 0 768 0, seen with stock.
        assert_eq!(arguments(DomId(3), &channels, false), ["-1", "3", "1", "0", "2", "0", "768", "0"]);
        assert_eq!(arguments(DomId(3), &channels, true), ["-1", "3", "1", "0", "2", "0", "800", "1"]);
    }

    fn records<'a>(ctx: &'a Ctx, from: &'a File, hvm: bool) -> Records<'a> {
        Records { ctx, from, domid: DomId(3), hvm, ended: Cell::new(false) }
    }

    #[test]
    fn a_stream_is_read_no_further_than_asked() {
        let bytes = [&StreamHeader::default().encode()[..], &[1, 0, 0, 0, 0, 0, 0, 0], b"what follows"].concat();
        let stream = file(&bytes);
        let mut progress = |_: &str, _, _| {};
        let mut incoming = open(&stream, &mut progress).unwrap();
        records(&ctx(), &incoming.from, false).device_model(Received::default(), RecordType::LibxcContext).unwrap();
        let mut rest = String::new();
        incoming.from.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "what follows");
    }

    #[test]
    fn streams_that_end_early_or_are_of_another_guest_are_refused() {
        let mut progress = |_: &str, _, _| {};
        assert!(open(&file(b"LibxlFmt"), &mut progress).is_err());
        let refused = |bytes: &[u8], hvm| {
            let read = records(&ctx(), &file(bytes), hvm).device_model(Received::default(), RecordType::End);
            read.map(drop).unwrap_err().to_string()
        };
        assert!(refused(&[3, 0, 0, 0, 0, 0, 0, 0], false).contains("EMULATOR_CONTEXT where a PV or PVH guest has END"));
        assert!(refused(&[4, 0, 0, 0, 0, 0, 0, 0], true).contains("CHECKPOINT_END where an HVM guest has END"));
        assert_eq!(refused(&[2, 0, 0, 0, 9, 0, 0, 0, 2, 0], true), "EMULATOR_XENSTORE_DATA: it ends too early");
        assert_eq!(refused(&[0, 0, 0], true), "the stream: it ends too early");
    }

    #[test]
    fn a_checkpoint_that_breaks_off_leaves_the_one_before() {
        let (config, ctx) = (DomainConfig::default(), ctx());
        let whole = [4, 0, 0, 0, 0, 0, 0, 0];
        let stream = file(&[&whole[..], &[0; 8], &whole[..5]].concat());
        let mut progress = |_: &str, _, _| {};
        let mut restoring = Restoring {
            records: records(&ctx, &stream, false),
            config: &config,
            checkpoint: Some(Received::default()),
            progress: &mut progress,
        };
        let found = [(); 4].map(|()| restoring.checkpoint().ok());
        let lost = Some(Checkpoint::Lost);
        assert_eq!(found, [Some(Checkpoint::Whole), None, lost, lost], "a record out of place is no loss");
        restoring.checkpoint = None;
        assert!(restoring.checkpoint().is_err(), "a stream without checkpoints");
    }

    #[test]
    fn checkpoints_come_in_streams_of_today_only() {
        let mut progress = |_: &str, _, _| {};
        let from = file(&[]);
        for form in [Form::Compressed, Form::Legacy] {
            let stream = Stream { from: from.as_fd(), form, checkpoints: true };
            assert!(Incoming::open(&ctx(), stream, DomainType::Pv, &mut progress).is_err());
        }
    }
}
