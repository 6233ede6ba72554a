//! A guest out of a stream: it is created as any other, but its memory and processors come from the stream.

use super::create::{self, Options};
use super::platform::{self, Channels};
use crate::Ctx;
use crate::error::{Error, Result, ResultExt};
use crate::event::{Deadline, Patient};
use crate::save_helper::{self, Questions, Rings};
use crate::stream::{Form, RecordHeader, RecordType, StreamHeader};
use crate::stream_filter::Decoder;
use crate::types::{DomainConfig, DomainType};
use libxc::DomId;
use libxc::build::Built;
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd};

/// The questions that the save helper may ask: a bit for the number of each message.
const CALLBACKS: u32 = 1 << 8 | 1 << 9;
/// Bit of the question whether the CPU policy was in the stream: it was not (`XGR_SDD_MISSING_CPUID`, xenguest.h).
const NO_CPUID: u32 = 1 << 0;

/// Where a guest comes from.
#[derive(Clone, Copy, Debug)]
pub struct Stream<'a> {
    /// What to read.
    pub from: BorrowedFd<'a>,
    /// What form it has ([`SaveFileHeader`](crate::stream::SaveFileHeader) tells).
    pub form: Form,
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
    progress: &'a mut dyn FnMut(&str, u64, u64),
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
            Form::Compressed => Some(Decoder::decompress(ctx, stream.from)?),
            Form::Legacy => Some(Decoder::convert(ctx, stream.from, guest)?),
        };
        let plain = decoder.as_ref().map_or(stream.from, AsFd::as_fd);
        let from = File::from(plain.try_clone_to_owned().context("the stream")?);
        let mut incoming = Incoming { from, decoder, progress };
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
    ) -> Result<Built> {
        match self.records(ctx, config, domid, channels) {
            Ok(built) => self.decoder.map_or(Ok(()), |decoder| decoder.finish(ctx)).map(|()| built),
            Err(e) => Err(self.explain(ctx, e)),
        }
    }

    fn header(&mut self, ctx: &Ctx) -> Result<()> {
        StreamHeader::decode(&read(ctx, &self.from)?)?;
        Ok(())
    }

    fn records(&mut self, ctx: &Ctx, config: &DomainConfig, domid: DomId, channels: &Channels) -> Result<Built> {
        self.expect(ctx, RecordType::LibxcContext)?;
        let mut questions = Restoring { ctx, config, domid, progress: self.progress };
        let arguments = arguments(domid, channels);
        let from = self.from.as_fd();
        let rings = save_helper::run(ctx, "--restore-domain", from, &arguments, &mut questions, Deadline::NEVER)?;
        let Rings { store, console } = rings.ok_or_else(|| Error::fail("the save helper told of no rings"))?;
        self.expect(ctx, RecordType::End)?;
        Ok(Built { store_frame: store, console_frame: console })
    }

    /// Why the stream could not be read: the decoder's reason, if it has one.
    fn explain(self, ctx: &Ctx, error: Error) -> Error {
        match self.decoder {
            Some(decoder) => decoder.explain(ctx, error),
            None => error,
        }
    }

    /// Reads a record's header. The streams of PV and PVH guests have no records but these two.
    fn expect(&mut self, ctx: &Ctx, kind: RecordType) -> Result<()> {
        match RecordHeader::decode(&read(ctx, &self.from)?)?.kind {
            found if found == kind => Ok(()),
            found => {
                Err(Error::fail(format!("the stream: {} where a PV or PVH guest has {}", found.name(), kind.name())))
            }
        }
    }
}

fn read<const N: usize>(ctx: &Ctx, from: &File) -> Result<[u8; N]> {
    let mut bytes = [0; N];
    Patient::new(ctx, from, Deadline::NEVER).read_exact(&mut bytes).map_err(|e| match e.kind() {
        std::io::ErrorKind::UnexpectedEof => Error::fail("the stream ends too early"),
        _ => Error::from(e),
    })?;
    Ok(bytes)
}

/// What the helper is told: no back channel, the domain, the guest's ports and who is at their other ends, questions,
/// an ordinary stream.
fn arguments(domid: DomId, channels: &Channels) -> [String; 8] {
    let Channels { store, console } = channels;
    let ends = [store.port.0, store.domid.0.into(), console.port.0, console.domid.0.into()].map(|n| n.to_string());
    let [store_port, store_domain, console_port, console_domain] = ends;
    let (back, domid, callbacks) = ("-1".into(), domid.to_string(), CALLBACKS.to_string());
    [back, domid, store_port, store_domain, console_port, console_domain, callbacks, "0".into()]
}

struct Restoring<'a> {
    ctx: &'a Ctx,
    config: &'a DomainConfig,
    domid: DomId,
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
            _ => platform::cpuid(self.ctx, &self.config.b_info, self.domid, true),
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
        Incoming::open(&ctx(), Stream { from: file.as_fd(), form: Form::Libxl }, DomainType::Pv, progress)
    }

    #[test]
    fn the_helpers_arguments_are_those_of_stock_libxl() {
        let ring = |port| Ring { port: EvtchnPort(port), domid: DomId(0) };
        let channels = Channels { store: ring(1), console: ring(2) };
        // --restore-domain 12 -1 3 1 0 2 0 768 0, seen with stock.
        assert_eq!(arguments(DomId(3), &channels), ["-1", "3", "1", "0", "2", "0", "768", "0"]);
    }

    #[test]
    fn a_stream_is_read_no_further_than_asked() {
        let bytes = [&StreamHeader::default().encode()[..], &[1, 0, 0, 0, 0, 0, 0, 0], b"what follows"].concat();
        let stream = file(&bytes);
        let mut progress = |_: &str, _, _| {};
        let mut incoming = open(&stream, &mut progress).unwrap();
        incoming.expect(&ctx(), RecordType::LibxcContext).unwrap();
        let mut rest = String::new();
        incoming.from.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "what follows");
    }

    #[test]
    fn streams_that_end_early_or_are_of_an_hvm_guest_are_refused() {
        let mut progress = |_: &str, _, _| {};
        assert!(open(&file(b"LibxlFmt"), &mut progress).is_err());
        let bytes = [&StreamHeader::default().encode()[..], &[3, 0, 0, 0, 0, 0, 0, 0]].concat();
        let stream = file(&bytes);
        let mut incoming = open(&stream, &mut progress).unwrap();
        let error = incoming.expect(&ctx(), RecordType::LibxcContext).unwrap_err().to_string();
        assert!(error.contains("EMULATOR_CONTEXT"), "{error}");
    }
}
