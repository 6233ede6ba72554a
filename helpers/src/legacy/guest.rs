//! The two ends of a legacy stream that depend on the kind of guest.

use super::Conversion;
use crate::input::Result;
use libxc::stream::RecordType;
use libxc::stream::pv::{P2mFrames, PvInfo, VcpuState};
use libxc::stream::x86::HvmParam;
use std::io::{Read, Write};

/// What a PV stream's extended info says of the states at its end.
pub(super) struct PvShape {
    pub(super) info: PvInfo,
    extended: bool,
    /// Bytes of a vCPU's XSAVE record; 0 where there is none.
    xsave: u32,
}

impl PvShape {
    /// Bytes of a vCPU's registers.
    fn basic(&self) -> usize {
        match self.info {
            PvInfo::Bits32 => 0xaf0,
            PvInfo::Bits64 => 0x1430,
        }
    }
}

impl<R: Read, W: Write> Conversion<'_, R, W> {
    /// Blocks of four letters and a length. The size of the "vcpu" block tells the guest's word size.
    pub(super) fn pv_extended_info(&mut self) -> Result<PvShape> {
        const PLACE: &str = "legacy extended info";
        let marker = self.ulong(PLACE)?;
        if marker != if self.wanted.width == 4 { u64::from(u32::MAX) } else { u64::MAX } {
            return Err(self
                .input
                .wrong(PLACE, format!("marker: all ones expected, found {marker:#x}; wrong --width?")));
        }
        let total = u64::from(self.u32(PLACE)?);
        (self.tell)(format!("Extended Info: length {total:#x}"));
        let end = self.input.offset() + total;
        let (mut info, mut extended, mut xsave) = (None, false, 0);
        while self.input.offset() < end {
            let id: [u8; 4] = self.input.array(PLACE)?;
            let size = self.u32(PLACE)?;
            match (&id, size) {
                (b"vcpu", 0x1430) => info = Some(PvInfo::Bits64),
                (b"vcpu", 0xaf0) => info = Some(PvInfo::Bits32),
                (b"extv", _) => extended = true,
                (b"xcnt", 4..) => {
                    xsave = self.u32(PLACE)?;
                    self.input.skip(PLACE, u64::from(size) - 4)?;
                    continue;
                }
                _ => {
                    let id = String::from_utf8_lossy(&id).into_owned();
                    return Err(self.input.wrong(PLACE, format!("block {id:?} of {size:#x} bytes is unknown")));
                }
            }
            self.input.skip(PLACE, u64::from(size))?;
        }
        if self.input.offset() != end {
            return Err(self.input.wrong(PLACE, "its blocks are longer than itself"));
        }
        let info = info.ok_or_else(|| self.input.wrong(PLACE, "no vcpu block: the guest's word size is unknown"))?;
        Ok(PvShape { info, extended, xsave })
    }

    /// The frames of the p2m. The record numbers pages with 32 bits, which bounds the list.
    pub(super) fn p2m_frames(&mut self, p2m_size: u64, info: PvInfo) -> Result<()> {
        const PLACE: &str = "legacy p2m frame list";
        let end_pfn = p2m_size.checked_sub(1).and_then(|end| u32::try_from(end).ok());
        let end_pfn = end_pfn.ok_or_else(|| self.input.wrong(PLACE, format!("p2m_size: {p2m_size:#x} is no size")))?;
        let count = u64::from(end_pfn) / info.entries_per_frame() + 1;
        let frames = self.ulongs(PLACE, count as usize)?;
        self.record(RecordType::PvP2mFrames, &P2mFrames { start_pfn: 0, end_pfn, frames }.encode())
    }

    pub(super) fn pv_tail(&mut self, shape: &PvShape) -> Result<()> {
        const PLACE: &str = "legacy PV tail";
        let unmapped = u64::from(self.u32(PLACE)?);
        self.input.skip(PLACE, unmapped * self.wanted.width as u64)?; // Writers filled it with nothing useful.
        for vcpu in std::mem::take(&mut self.online_vcpus) {
            self.vcpu_state(vcpu, RecordType::PvVcpuBasic, shape.basic())?;
            if shape.extended {
                self.vcpu_state(vcpu, RecordType::PvVcpuExtended, 128)?;
            }
            if shape.xsave != 0 {
                self.u64(PLACE)?; // the mask, which the area itself holds again
                let size = self.u64(PLACE)?;
                if Some(size) != u64::from(shape.xsave).checked_sub(16) {
                    return Err(self
                        .input
                        .wrong(PLACE, format!("XSAVE area of {size} bytes, {} announced", shape.xsave)));
                }
                self.vcpu_state(vcpu, RecordType::PvVcpuXsave, size as usize)?;
            }
        }
        let shared_info: [u8; 4096] = self.input.array(PLACE)?;
        self.record(RecordType::SharedInfo, &shared_info)?;
        self.record(RecordType::End, &[])
    }

    fn vcpu_state(&mut self, vcpu: u32, kind: RecordType, size: usize) -> Result<()> {
        let state = self.input.bytes(kind.name(), size)?;
        (self.tell)(format!("Got {} of vcpu{vcpu} (size {size:#x})", kind.name()));
        self.record(kind, &VcpuState { vcpu, state: &state }.encode())
    }

    /// Three pages that the device model shares, and Xen's own record.
    pub(super) fn hvm_tail(&mut self) -> Result<()> {
        const PLACE: &str = "legacy HVM tail";
        let mut params = Vec::with_capacity(3);
        for index in [5, 6, 1] {
            params.push(HvmParam { index, value: self.u64(PLACE)? }); // IOREQ_PFN, BUFIOREQ_PFN, STORE_PFN
        }
        self.hvm_params(&params)?;
        let context = self.blob("legacy HVM context")?;
        if context.is_empty() {
            return Err(self.input.wrong("legacy HVM context", "length: found 0"));
        }
        (self.tell)(format!("Got HVM Context ({:#x} bytes)", context.len()));
        self.record(RecordType::HvmContext, &context)?;
        self.record(RecordType::End, &[])
    }
}
