//! Goes through a stream from the first byte to the last record and hands out each part, checked.
//!
//! Nothing is kept: the memory used is that of the largest record.

use crate::compressed::Decoder;
use crate::input::{Fault, Input, Result};
use libxc::cpuid::{CpuidLeaf, MsrEntry};
use libxc::stream::pv::{P2mFrames, PvInfo, VcpuState};
use libxc::stream::x86::{HvmParam, TscInfo, decode_cpuid_policy, decode_hvm_params, decode_msr_policy};
use libxc::stream::{DomainHeader, ImageHeader, PageData, RecordHeader, RecordType, StreamError};
use libxl::stream::emulator::{EmulatorHeader, decode_xenstore_data};
use libxl::stream::record::{RecordHeader as LibxlRecordHeader, RecordType as LibxlRecordType};
use libxl::stream::{SaveFileHeader, StreamHeader};
use std::io::Read;

/// Which layer a stream begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// The records of libxc.
    Libxc,
    /// The records of libxl around them.
    Libxl,
    /// A file of `xl save`.
    Xl,
}

/// One part of a stream.
#[derive(Debug)]
pub enum Part<'a> {
    /// The header of a save file, and the configuration in it.
    SaveFile(SaveFileHeader, Option<&'a [u8]>),
    /// The header of a libxl stream.
    Libxl(StreamHeader),
    /// A record of libxl.
    LibxlRecord(LibxlRecordHeader, LibxlBody<'a>),
    /// The first header of a libxc stream.
    Image(ImageHeader),
    /// The second header of a libxc stream.
    Domain(DomainHeader),
    /// A record of libxc.
    Record(RecordType, usize, Body<'a>),
}

/// What a record of libxl holds.
#[derive(Debug)]
pub enum LibxlBody<'a> {
    /// Nothing.
    Empty,
    /// Keys and values of a device model.
    XenstoreData(EmulatorHeader, Vec<(&'a [u8], &'a [u8])>),
    /// The state of a device model.
    EmulatorContext(EmulatorHeader),
    /// The number of a COLO state.
    CheckpointState(&'a [u8]),
}

/// What a record of libxc holds.
#[derive(Debug)]
pub enum Body<'a> {
    /// Nothing.
    Empty,
    /// Pages; their content is passed over.
    Pages(PageData),
    /// A PV guest's word size.
    PvInfo(PvInfo),
    /// Frames of a PV guest's p2m.
    P2mFrames(P2mFrames),
    /// A part of a PV vCPU.
    Vcpu(VcpuState<'a>),
    /// Bytes that Xen alone understands: shared info, HVM context.
    Opaque(&'a [u8]),
    /// The time stamp counter.
    Tsc(TscInfo),
    /// HVM parameters.
    HvmParams(Vec<HvmParam>),
    /// CPUID leaves.
    Cpuid(Vec<CpuidLeaf>),
    /// Model-specific registers.
    Msrs(Vec<MsrEntry>),
}

/// Who looks at the parts.
pub type Visitor<'v> = dyn FnMut(u64, Part<'_>) -> std::result::Result<(), String> + 'v;

/// Goes through a whole stream of this format. `visit` gets the offset of each part.
pub fn walk(input: impl Read, format: Format, visit: &mut Visitor<'_>) -> Result<()> {
    let mut walk = Walk { input: Input::new(input), part: 0, visit };
    match format {
        Format::Libxc => walk.libxc_stream(false),
        Format::Libxl => walk.libxl_stream(),
        Format::Xl => match walk.save_file()? {
            SaveFileHeader { stream_v2: false, .. } => walk.libxc_stream(false),
            SaveFileHeader { compressed: false, .. } => walk.libxl_stream(),
            _ => walk.compressed_stream(),
        },
    }
}

struct Walk<'v, 'f, R> {
    input: Input<R>,
    /// Where the part at hand began.
    part: u64,
    visit: &'v mut Visitor<'f>,
}

impl<R: Read> Walk<'_, '_, R> {
    fn save_file(&mut self) -> Result<SaveFileHeader> {
        let bytes = self.header("save file header")?;
        let header = self.check(SaveFileHeader::decode(&bytes))?;
        let data = self.input.bytes("save file header", header.optional_data_len as usize)?;
        let config = self.check(header.config(&data))?;
        self.show(Part::SaveFile(header, config))?;
        Ok(header)
    }

    /// Offsets are those in the stream as it was before it was compressed.
    fn compressed_stream(&mut self) -> Result<()> {
        let decoder = Decoder::new(self.input.rest())?;
        let mut inside = Walk { input: Input::new(decoder), part: 0, visit: &mut *self.visit };
        inside.libxl_stream()?;
        inside.input.end("compressed stream")
    }

    fn libxl_stream(&mut self) -> Result<()> {
        let bytes = self.header("libxl stream header")?;
        let header = self.check(StreamHeader::decode(&bytes))?;
        self.show(Part::Libxl(header))?;
        loop {
            match self.libxl_record()? {
                LibxlRecordType::End => return Ok(()),
                LibxlRecordType::LibxcContext => self.libxc_stream(true)?,
                _ => {}
            }
        }
    }

    fn libxl_record(&mut self) -> Result<LibxlRecordType> {
        let bytes = self.header("libxl record header")?;
        let header = self.check(LibxlRecordHeader::decode(&bytes))?;
        let place = header.kind.name();
        let padded = self.input.bytes(place, header.padded_length())?;
        let (body, padding) = padded.split_at(header.length as usize);
        if padding.iter().any(|&b| b != 0) {
            return self.check(Err(StreamError::new(place, "padding is not zero")));
        }
        let body = match header.kind {
            LibxlRecordType::EmulatorXenstoreData => {
                let (emulator, data) = self.check(EmulatorHeader::decode(place, body))?;
                LibxlBody::XenstoreData(emulator, self.check(decode_xenstore_data(data))?)
            }
            LibxlRecordType::EmulatorContext => {
                LibxlBody::EmulatorContext(self.check(EmulatorHeader::decode(place, body))?.0)
            }
            LibxlRecordType::CheckpointState if body.is_empty() => {
                return self.check(Err(StreamError::new(place, "length: at least 4 expected, found 0")));
            }
            LibxlRecordType::CheckpointState => LibxlBody::CheckpointState(body),
            _ => LibxlBody::Empty,
        };
        self.show(Part::LibxlRecord(header, body))?;
        Ok(header.kind)
    }

    /// Inside a libxl stream a checkpoint hands over to libxl's records, until theirs ends.
    fn libxc_stream(&mut self, inside_libxl: bool) -> Result<()> {
        let bytes = self.header("libxc image header")?;
        let image = self.check(ImageHeader::decode(&bytes))?;
        self.show(Part::Image(image))?;
        let bytes = self.header("libxc domain header")?;
        let domain = self.check(DomainHeader::decode(&bytes))?;
        self.show(Part::Domain(domain))?;
        loop {
            match self.libxc_record(image.version)? {
                RecordType::End => return Ok(()),
                RecordType::Checkpoint if inside_libxl => {
                    while self.libxl_record()? != LibxlRecordType::CheckpointEnd {}
                }
                _ => {}
            }
        }
    }

    fn libxc_record(&mut self, version: u32) -> Result<RecordType> {
        let bytes = self.header("libxc record header")?;
        let header = self.check(RecordHeader::decode(&bytes))?;
        let kind = self.check(RecordType::from_number(header.number).ok_or_else(|| {
            StreamError::new("libxc record header", format!("type: {:#x} is unknown", header.number))
        }))?;
        if kind == RecordType::PageData {
            return self.page_data(&header);
        }
        let padded = self.input.bytes(kind.name(), header.padded_length())?;
        let body = self.check(header.body(&padded))?;
        let decoded = self.check(decode_body(kind, version, body))?;
        self.show(Part::Record(kind, body.len(), decoded))?;
        Ok(kind)
    }

    /// The frame numbers are kept, the pages' content is passed over.
    fn page_data(&mut self, header: &RecordHeader) -> Result<RecordType> {
        let kind = RecordType::PageData;
        let length = header.length as usize;
        if length < PageData::PREFIX {
            return self.check(Err(StreamError::new(kind.name(), format!("length: {length} is too short"))));
        }
        let prefix = self.input.array(kind.name())?;
        let count = self.check(PageData::count(&prefix, length))?;
        let words = self.input.bytes(kind.name(), count * 8)?;
        let pages = self.check(PageData::decode(&words, length))?;
        self.input.skip(kind.name(), (length - PageData::PREFIX - words.len()) as u64)?;
        let padding = self.input.bytes(kind.name(), header.padded_length() - length)?;
        if padding.iter().any(|&b| b != 0) {
            return self.check(Err(StreamError::new(kind.name(), "padding is not zero")));
        }
        self.show(Part::Record(kind, length, Body::Pages(pages)))?;
        Ok(kind)
    }

    /// The first bytes of a part: errors from now on are about it.
    fn header<const N: usize>(&mut self, place: &'static str) -> Result<[u8; N]> {
        self.part = self.input.offset();
        self.input.array(place)
    }

    fn check<T>(&self, decoded: libxc::stream::Result<T>) -> Result<T> {
        decoded.map_err(|error| Fault::Stream { offset: self.part, error })
    }

    fn show(&mut self, part: Part<'_>) -> Result<()> {
        (self.visit)(self.part, part).map_err(Fault::Other)
    }
}

/// Decodes the body of any record but PAGE_DATA and checks what its structure alone can tell.
fn decode_body(kind: RecordType, version: u32, body: &[u8]) -> libxc::stream::Result<Body<'_>> {
    kind.check(version, body.len())?;
    let wrong = |problem: String| Err(StreamError::new(kind.name(), problem));
    match kind {
        RecordType::End | RecordType::Verify | RecordType::Checkpoint | RecordType::StaticDataEnd => Ok(Body::Empty),
        RecordType::PvInfo => PvInfo::decode(body).map(Body::PvInfo),
        RecordType::PvP2mFrames => P2mFrames::decode(body).map(Body::P2mFrames),
        RecordType::PvVcpuBasic | RecordType::PvVcpuExtended | RecordType::PvVcpuXsave | RecordType::PvVcpuMsrs => {
            VcpuState::decode(kind, body).map(Body::Vcpu)
        }
        RecordType::SharedInfo | RecordType::HvmContext => Ok(Body::Opaque(body)),
        RecordType::TscInfo => TscInfo::decode(body).map(Body::Tsc),
        RecordType::HvmParams => decode_hvm_params(body).map(Body::HvmParams),
        RecordType::CpuidPolicy => decode_cpuid_policy(body).map(Body::Cpuid),
        RecordType::MsrPolicy => decode_msr_policy(body).map(Body::Msrs),
        RecordType::Toolstack => wrong("this record is no longer part of the format".into()),
        RecordType::CheckpointDirtyPfnList => wrong("this record travels only on the way back".into()),
        RecordType::PageData => wrong("is read apart".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compressed::{Method, compress};
    use libxc::stream::{GuestKind, PageType, PfnEntry, record};
    use libxc::types::Pfn;

    /// A whole save file of a guest with one page.
    fn sample() -> Vec<u8> {
        let (header, config) = SaveFileHeader::with_config("{}", false).unwrap();
        let mut out = [&header.encode()[..], &config, &StreamHeader::default().encode()].concat();
        out.extend(LibxlRecordHeader { kind: LibxlRecordType::LibxcContext, length: 0 }.encode());
        out.extend(ImageHeader::CURRENT.encode());
        out.extend(DomainHeader { kind: GuestKind::Hvm, xen_major: 4, xen_minor: 17 }.encode());
        out.extend(record::encode(RecordType::StaticDataEnd, &[]).unwrap());
        let pages = PageData { entries: vec![PfnEntry { pfn: Pfn(3), kind: PageType::Normal }] };
        out.extend(RecordHeader::new(RecordType::PageData, pages.length()).unwrap().encode());
        out.extend(pages.encode_prefix());
        out.extend([7; 4096]);
        out.extend(record::encode(RecordType::End, &[]).unwrap());
        out.extend(LibxlRecordHeader { kind: LibxlRecordType::End, length: 0 }.encode());
        out
    }

    fn parts(bytes: &[u8]) -> (Vec<String>, Result<()>) {
        let mut seen = Vec::new();
        let result = walk(bytes, Format::Xl, &mut |offset, part| {
            seen.push(format!("{offset} {part:?}").split_once(['(', '{']).unwrap().0.trim().to_string());
            Ok(())
        });
        (seen, result)
    }

    #[test]
    fn a_whole_file_is_walked_part_by_part() {
        let (seen, result) = parts(&sample());
        result.unwrap();
        assert_eq!(
            seen,
            [
                "0 SaveFile",
                "55 Libxl",
                "71 LibxlRecord",
                "79 Image",
                "103 Domain",
                "119 Record",
                "127 Record",
                "4247 Record",
                "4255 LibxlRecord"
            ]
        );
    }

    #[test]
    fn a_compressed_file_has_the_parts_that_it_had() {
        let (header, config) = SaveFileHeader::with_config("{}", true).unwrap();
        let plain = sample();
        let mut bytes = [&header.encode()[..], &config].concat();
        compress(Method::Zstd(3), &plain[bytes.len()..], &mut bytes).unwrap();
        let (seen, result) = parts(&bytes);
        result.unwrap();
        assert_eq!(seen.len(), parts(&plain).0.len());
        assert_eq!(seen[..3], ["0 SaveFile", "0 Libxl", "16 LibxlRecord"]);
        bytes.truncate(bytes.len() - 3);
        assert!(parts(&bytes).1.is_err());
    }

    #[test]
    fn a_file_cut_anywhere_is_an_error_that_says_where() {
        let whole = sample();
        for length in 0..whole.len() {
            match parts(&whole[..length]).1 {
                Err(Fault::Truncated { offset, .. }) => assert!(offset <= length as u64),
                other => panic!("cut at {length}: {other:?}"),
            }
        }
    }

    #[test]
    fn a_huge_length_allocates_nothing_before_its_bytes_arrive() {
        let mut bytes = StreamHeader::default().encode().to_vec();
        bytes.extend(LibxlRecordHeader { kind: LibxlRecordType::EmulatorContext, length: 1 << 30 }.encode());
        assert!(matches!(walk(&bytes[..], Format::Libxl, &mut |_, _| Ok(())), Err(Fault::Truncated { .. })));
    }
}
