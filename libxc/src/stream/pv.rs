//! Records that only PV guests have.

use super::bytes::Fields;
use super::record::RecordType;
use super::{Result, StreamError};

/// X86_PV_INFO: how the guest's kernel is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PvInfo {
    /// A 32-bit PAE kernel: words of 4 bytes, 3 levels of page tables.
    Bits32,
    /// A 64-bit kernel: words of 8 bytes, 4 levels of page tables.
    Bits64,
}

impl PvInfo {
    const PLACE: &'static str = "X86_PV_INFO";

    /// The record's body.
    pub fn encode(self) -> [u8; 8] {
        match self {
            PvInfo::Bits32 => [4, 3, 0, 0, 0, 0, 0, 0],
            PvInfo::Bits64 => [8, 4, 0, 0, 0, 0, 0, 0],
        }
    }

    /// Reads the record's body.
    pub fn decode(body: &[u8]) -> Result<PvInfo> {
        let mut f = Fields::new(Self::PLACE, body);
        let (width, levels) = (f.u8("guest_width")?, f.u8("pt_levels")?);
        let (res1, res2) = (f.u16("reserved")?, f.u32("reserved")?);
        f.end()?;
        f.reserved("reserved", res1)?;
        f.reserved("reserved", res2)?;
        match (width, levels) {
            (4, 3) => Ok(PvInfo::Bits32),
            (8, 4) => Ok(PvInfo::Bits64),
            _ => Err(f.error(format!("guest_width {width} with pt_levels {levels}: 4 with 3 or 8 with 4 expected"))),
        }
    }

    /// Bytes of the guest's `unsigned long`.
    pub fn width(self) -> usize {
        match self {
            PvInfo::Bits32 => 4,
            PvInfo::Bits64 => 8,
        }
    }

    /// Entries of a p2m frame.
    pub fn entries_per_frame(self) -> u64 {
        (crate::types::PAGE_SIZE / self.width()) as u64
    }
}

/// X86_PV_P2M_FRAMES: where a run of the guest's p2m lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct P2mFrames {
    /// The first pfn that the run maps.
    pub start_pfn: u32,
    /// The last pfn that the run maps.
    pub end_pfn: u32,
    /// The pfns of the frames of the p2m, one for each page of entries.
    pub frames: Vec<u64>,
}

impl P2mFrames {
    const PLACE: &'static str = "X86_PV_P2M_FRAMES";

    /// The record's body.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(8 + self.frames.len() * 8);
        out.extend_from_slice(&self.start_pfn.to_le_bytes());
        out.extend_from_slice(&self.end_pfn.to_le_bytes());
        self.frames.iter().for_each(|f| out.extend_from_slice(&f.to_le_bytes()));
        out
    }

    /// Reads the record's body.
    pub fn decode(body: &[u8]) -> Result<P2mFrames> {
        let mut f = Fields::new(Self::PLACE, body);
        let (start_pfn, end_pfn) = (f.u32("start_pfn")?, f.u32("end_pfn")?);
        let (frames, odd) = f.rest().as_chunks::<8>();
        if !odd.is_empty() {
            return Err(f.error(format!("length: a multiple of 8 expected, found {}", body.len())));
        }
        Ok(P2mFrames { start_pfn, end_pfn, frames: frames.iter().map(|w| u64::from_le_bytes(*w)).collect() })
    }

    /// Checks the range for a guest of this kind: as many frames as it needs, no more, no fewer.
    pub fn check(&self, info: PvInfo) -> Result<()> {
        let wrong = |problem| Err(StreamError::new(Self::PLACE, problem));
        let (start, end) = (u64::from(self.start_pfn), u64::from(self.end_pfn));
        if start > end {
            return wrong(format!("start_pfn {start:#x} is above end_pfn {end:#x}"));
        }
        let per_frame = info.entries_per_frame();
        let needed = end / per_frame - start / per_frame + 1;
        match self.frames.len() as u64 {
            found if found != needed => wrong(format!("{needed} frames expected for its range, found {found}")),
            _ => Ok(()),
        }
    }
}

/// The largest number of a vCPU that a PV guest can have (`MAX_VIRT_CPUS`, less one).
pub const VCPU_MAX: u32 = 8191;

/// X86_PV_VCPU_BASIC, _EXTENDED, _XSAVE, _MSRS: a part of one vCPU's state, as Xen gave it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VcpuState<'a> {
    /// Which vCPU.
    pub vcpu: u32,
    /// The state. Empty in some streams of Xen 4.6 to 4.8, to be ignored.
    pub state: &'a [u8],
}

impl<'a> VcpuState<'a> {
    /// The record's body.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(8 + self.state.len());
        out.extend_from_slice(&self.vcpu.to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(self.state);
        out
    }

    /// Reads the body of one of the four records.
    pub fn decode(kind: RecordType, body: &'a [u8]) -> Result<VcpuState<'a>> {
        let mut f = Fields::new(kind.name(), body);
        let (vcpu, reserved) = (f.u32("vcpu_id")?, f.u32("reserved")?);
        f.reserved("reserved", reserved)?;
        Ok(VcpuState { vcpu, state: f.rest() })
    }

    /// Checks the vCPU's number and the state's length for a guest of this kind, before Xen sees them.
    pub fn check(&self, kind: RecordType, info: PvInfo) -> Result<()> {
        let length = self.state.len();
        let wrong = |problem| Err(StreamError::new(kind.name(), problem));
        if self.vcpu > VCPU_MAX {
            return wrong(format!("vcpu_id: {} is over {VCPU_MAX}", self.vcpu));
        }
        let basic = match info {
            PvInfo::Bits32 => 0xaf0,
            PvInfo::Bits64 => 0x1430,
        };
        let (fits, expected) = match kind {
            RecordType::PvVcpuBasic => (length == basic, format!("{basic}")),
            RecordType::PvVcpuExtended => (length <= 128, "at most 128".into()),
            RecordType::PvVcpuXsave => (length == 0 || length >= 16, "at least 16".into()),
            _ => (length.is_multiple_of(16), "a multiple of 16".into()),
        };
        if !fits {
            return wrong(format!("{expected} bytes of state expected, found {length}"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn info_is_read_back_and_nonsense_refused() {
        for info in [PvInfo::Bits32, PvInfo::Bits64] {
            assert_eq!(PvInfo::decode(&info.encode()), Ok(info));
        }
        for bad in [&[8, 3, 0, 0, 0, 0, 0, 0][..], &[4, 4, 0, 0, 0, 0, 0, 0], &[8, 4, 1, 0, 0, 0, 0, 0], &[8, 4]] {
            assert!(PvInfo::decode(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn p2m_frames_must_match_their_range() {
        let frames = P2mFrames { start_pfn: 0, end_pfn: 0xbfff, frames: (0..96).collect() };
        assert_eq!(P2mFrames::decode(&frames.encode()), Ok(frames.clone()));
        assert!(P2mFrames::decode(&frames.encode()[..15]).is_err());
        assert!(frames.check(PvInfo::Bits64).is_ok());
        assert!(frames.check(PvInfo::Bits32).is_err());
        assert!(P2mFrames { start_pfn: 5, end_pfn: 4, ..frames }.check(PvInfo::Bits64).is_err());
    }

    #[test]
    fn vcpu_states_have_xens_lengths() {
        let check = |kind, length| {
            let state = vec![0; length];
            let body = VcpuState { vcpu: 1, state: &state }.encode();
            VcpuState::decode(kind, &body).unwrap().check(kind, PvInfo::Bits64).is_ok()
        };
        assert!(check(RecordType::PvVcpuBasic, 0x1430) && !check(RecordType::PvVcpuBasic, 0xaf0));
        assert!(check(RecordType::PvVcpuExtended, 64) && !check(RecordType::PvVcpuExtended, 129));
        assert!(check(RecordType::PvVcpuXsave, 0) && !check(RecordType::PvVcpuXsave, 15));
        assert!(VcpuState { vcpu: VCPU_MAX + 1, state: &[] }.check(RecordType::PvVcpuMsrs, PvInfo::Bits64).is_err());
        assert!(check(RecordType::PvVcpuMsrs, 32) && !check(RecordType::PvVcpuMsrs, 17));
    }
}
