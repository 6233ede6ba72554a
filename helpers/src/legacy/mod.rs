//! Turns the stream of a Xen before 4.6 into one of today.
//!
//! A legacy stream has no type, no version and no length of its own: its reader must be told the word size of the
//! toolstack that wrote it and the kind of guest. The layout is known from the code that wrote it alone.

mod chunks;
mod guest;

use crate::input::{Input, Result};
use libxc::stream::{DomainHeader, GuestKind, ImageHeader, RecordType, record};
use libxl::stream::emulator::{EmulatorHeader, EmulatorId};
use libxl::stream::record::{RecordType as LibxlRecordType, encode as encode_libxl};
use libxl::stream::{SaveFileHeader, StreamHeader};
use std::io::{Read, Write};

/// What the stream alone does not tell, and what is wanted.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// Bytes of `unsigned long` where the stream was written: 4 or 8.
    pub width: usize,
    /// The guest in it.
    pub guest: GuestKind,
    /// Whether libxl's records go around libxc's.
    pub libxl: bool,
    /// Whether a save file's header comes first.
    pub save_file: bool,
    /// Whether to stop before QEMU's state (only where `libxl` is false).
    pub skip_qemu: bool,
}

/// The minor version in a converted stream's domain header; the major one is 0.
const CONVERTER_VERSION: u32 = 1;
/// The most bytes of QEMU state, HVM context or toolstack data that are believed.
const BLOB_MAX: u32 = 1 << 30;
const QEMU_SIGNATURE: &[u8; 21] = b"DeviceModelRecord0002";

/// Converts a whole stream. `tell` gets a line for each thing found.
pub fn convert(input: impl Read, output: impl Write, wanted: Wanted, tell: &mut dyn FnMut(String)) -> Result<()> {
    let mut conversion =
        Conversion { input: Input::new(input), output, wanted, tell, online_vcpus: Vec::new(), physmap: Vec::new() };
    conversion.whole_stream()?;
    Ok(conversion.output.flush()?)
}

struct Conversion<'t, R, W> {
    input: Input<R>,
    output: W,
    wanted: Wanted,
    tell: &'t mut dyn FnMut(String),
    /// The vCPUs whose state follows at the end.
    online_vcpus: Vec<u32>,
    /// The device model's keys and values, packed as libxl's record holds them.
    physmap: Vec<u8>,
}

impl<R: Read, W: Write> Conversion<'_, R, W> {
    fn whole_stream(&mut self) -> Result<()> {
        if self.wanted.save_file {
            self.save_file_header()?;
        }
        let p2m_size = self.ulong("p2m_size")?;
        (self.tell)(format!("P2M Size: {p2m_size:#x}"));
        if self.wanted.libxl {
            self.output.write_all(&StreamHeader { converted: true }.encode())?;
            self.libxl_record(LibxlRecordType::LibxcContext, &[])?;
        }
        self.output.write_all(&ImageHeader::CURRENT.encode())?;
        let domain = DomainHeader { kind: self.wanted.guest, xen_major: 0, xen_minor: CONVERTER_VERSION };
        self.output.write_all(&domain.encode())?;
        match self.wanted.guest {
            GuestKind::Pv => self.pv_guest(p2m_size)?,
            GuestKind::Hvm => self.hvm_guest()?,
        }
        if self.wanted.libxl {
            self.libxl_tail()
        } else if self.wanted.guest == GuestKind::Hvm && !self.wanted.skip_qemu {
            let state = self.qemu_state()?;
            self.output.write_all(QEMU_SIGNATURE)?;
            self.output.write_all(&(state.len() as u32).to_le_bytes())?;
            Ok(self.output.write_all(&state)?)
        } else {
            Ok(())
        }
    }

    /// The header of `xl save` stays, but says that a libxl stream follows.
    fn save_file_header(&mut self) -> Result<()> {
        const PLACE: &str = "save file header";
        let bytes = self.input.array(PLACE)?;
        let mut header = SaveFileHeader::decode(&bytes).map_err(|e| self.input.wrong(e.place, e.problem))?;
        let data = self.input.bytes(PLACE, header.optional_data_len as usize)?;
        header.stream_v2 |= self.wanted.libxl;
        (self.tell)("Processed xl header".into());
        self.output.write_all(&header.encode())?;
        Ok(self.output.write_all(&data)?)
    }

    fn pv_guest(&mut self, p2m_size: u64) -> Result<()> {
        let shape = self.pv_extended_info()?;
        self.record(RecordType::PvInfo, &shape.info.encode())?;
        self.record(RecordType::StaticDataEnd, &[])?;
        self.p2m_frames(p2m_size, shape.info)?;
        self.chunks()?;
        self.pv_tail(&shape)
    }

    fn hvm_guest(&mut self) -> Result<()> {
        self.record(RecordType::StaticDataEnd, &[])?;
        self.chunks()?;
        self.hvm_tail()
    }

    /// The device model's keys and state, as libxl's records.
    fn libxl_tail(&mut self) -> Result<()> {
        let emulator = EmulatorHeader { id: EmulatorId::Unknown, index: 0 }.encode();
        if !self.physmap.is_empty() {
            let body = [&emulator[..], &self.physmap].concat();
            self.libxl_record(LibxlRecordType::EmulatorXenstoreData, &body)?;
        }
        if self.wanted.guest == GuestKind::Hvm {
            let body = [&emulator[..], &self.qemu_state()?].concat();
            self.libxl_record(LibxlRecordType::EmulatorContext, &body)?;
        }
        self.libxl_record(LibxlRecordType::End, &[])
    }

    fn qemu_state(&mut self) -> Result<Vec<u8>> {
        const PLACE: &str = "QEMU record";
        let signature: [u8; 21] = self.input.array(PLACE)?;
        (self.tell)(format!("Qemu signature: {}", String::from_utf8_lossy(&signature)));
        if &signature != QEMU_SIGNATURE {
            let found = String::from_utf8_lossy(&signature).into_owned();
            return Err(self.input.wrong(PLACE, format!("signature: DeviceModelRecord0002 expected, found {found:?}")));
        }
        self.blob(PLACE)
    }

    /// Bytes with their length before them.
    fn blob(&mut self, place: &'static str) -> Result<Vec<u8>> {
        let length = self.u32(place)?;
        if length > BLOB_MAX {
            return Err(self.input.wrong(place, format!("length: {length} is over {BLOB_MAX}")));
        }
        self.input.bytes(place, length as usize)
    }

    fn u32(&mut self, place: &'static str) -> Result<u32> {
        Ok(u32::from_le_bytes(self.input.array(place)?))
    }

    fn u64(&mut self, place: &'static str) -> Result<u64> {
        Ok(u64::from_le_bytes(self.input.array(place)?))
    }

    /// A word of the toolstack that wrote the stream.
    fn ulong(&mut self, place: &'static str) -> Result<u64> {
        if self.wanted.width == 4 { self.u32(place).map(u64::from) } else { self.u64(place) }
    }

    /// `count` words of the toolstack that wrote the stream.
    fn ulongs(&mut self, place: &'static str, count: usize) -> Result<Vec<u64>> {
        let bytes = self.input.bytes(place, count * self.wanted.width)?;
        Ok(match self.wanted.width {
            4 => bytes.as_chunks::<4>().0.iter().map(|w| u64::from(u32::from_le_bytes(*w))).collect(),
            _ => bytes.as_chunks::<8>().0.iter().map(|w| u64::from_le_bytes(*w)).collect(),
        })
    }

    fn record(&mut self, kind: RecordType, body: &[u8]) -> Result<()> {
        let bytes = record::encode(kind, body).map_err(|e| self.input.wrong(e.place, e.problem))?;
        Ok(self.output.write_all(&bytes)?)
    }

    fn libxl_record(&mut self, kind: LibxlRecordType, body: &[u8]) -> Result<()> {
        let bytes = encode_libxl(kind, body).map_err(|e| self.input.wrong(e.place, e.problem))?;
        Ok(self.output.write_all(&bytes)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[u64]) -> Vec<u8> {
        words.iter().flat_map(|w| w.to_le_bytes()).collect()
    }

    fn ints(ints: &[i32]) -> Vec<u8> {
        ints.iter().flat_map(|i| i.to_le_bytes()).collect()
    }

    const PV: Wanted = Wanted { width: 8, guest: GuestKind::Pv, libxl: true, save_file: false, skip_qemu: false };

    /// A 64-bit PV guest of 512 pages, two of them sent, and a batch of absent ones.
    fn pv_stream() -> Vec<u8> {
        let extended = [&b"vcpu"[..], &0x1430u32.to_le_bytes(), &[0; 0x1430], b"extv", &[0; 4]].concat();
        let parts: [Vec<u8>; 11] = [
            words(&[512, u64::MAX]),
            (extended.len() as u32).to_le_bytes().to_vec(),
            extended,
            words(&[7]),
            [ints(&[2]), words(&[5, 0x1000_0006]), vec![3; 4096], vec![4; 4096]].concat(),
            [ints(&[2]), words(&[0xf000_0000, 0xf000_0000])].concat(),
            [ints(&[-2, 0]), words(&[1])].concat(),
            [ints(&[-7, 0]), words(&[1]), ints(&[2_400_000, 1])].concat(),
            ints(&[0, 0]),
            vec![b'V'; 0x1430 + 128],
            vec![0x55; 4096],
        ];
        parts.concat()
    }

    fn converted(stream: &[u8], wanted: Wanted) -> Result<Vec<u8>> {
        let mut out = Vec::new();
        convert(stream, &mut out, wanted, &mut |_| {})?;
        Ok(out)
    }

    #[test]
    fn a_pv_stream_becomes_a_good_one() {
        use crate::walk::{Format, Part, walk};
        let out = converted(&pv_stream(), PV).unwrap();
        let mut records = Vec::new();
        walk(&out[..], Format::Libxl, &mut |_, part| {
            if let Part::Record(kind, length, _) = part {
                records.push((kind.name(), length));
            }
            Ok(())
        })
        .unwrap();
        let expected = [
            ("X86_PV_INFO", 8),
            ("STATIC_DATA_END", 0),
            ("X86_PV_P2M_FRAMES", 16),
            ("PAGE_DATA", 8 + 16 + 2 * 4096),
            ("X86_TSC_INFO", 24),
            ("X86_PV_VCPU_BASIC", 8 + 0x1430),
            ("X86_PV_VCPU_EXTENDED", 8 + 128),
            ("SHARED_INFO", 4096),
            ("END", 0),
        ];
        assert_eq!(records, expected, "the batch of absent pages must not become an empty record");
    }

    #[test]
    fn a_stream_cut_anywhere_is_an_error() {
        let stream = pv_stream();
        for length in (0..stream.len()).step_by(97) {
            assert!(converted(&stream[..length], PV).is_err(), "cut at {length}");
        }
    }

    #[test]
    fn lengths_and_counts_that_lie_are_errors() {
        let prefix = pv_stream()[..16 + 4 + 8 + 0x1430 + 8 + 8].to_vec();
        for chunk in [ints(&[1025]), ints(&[-2, 4096]), ints(&[-2, -1]), ints(&[-99]), ints(&[-18, i32::MIN])] {
            assert!(converted(&[prefix.clone(), chunk].concat(), PV).is_err());
        }
        let huge = [words(&[u64::MAX, u64::MAX]), vec![0; 64]].concat();
        assert!(converted(&huge, PV).is_err());
    }

    #[test]
    fn an_hvm_guest_without_a_context_is_refused() {
        let stream = [words(&[512]), ints(&[0]), words(&[1, 2, 3]), ints(&[0])].concat();
        let error = converted(&stream, Wanted { guest: GuestKind::Hvm, ..PV }).unwrap_err().to_string();
        assert!(error.contains("legacy HVM context: length"), "{error}");
    }
}
