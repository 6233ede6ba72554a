//! HVM context: the body of the stream's HVM_CONTEXT record (xen/hvm/save.h, xen/arch-x86/hvm/save.h).
//!
//! A record is a descriptor of 8 bytes and its data. The list begins with HEADER and ends with END.

use crate::stream::StreamError;
use crate::stream::bytes::Fields;

const PLACE: &str = "HVM context";
/// `HVM_FILE_MAGIC`.
const MAGIC: u32 = 0x5438_1286;
/// `HVM_FILE_VERSION`.
const VERSION: u32 = 1;
const DESCRIPTOR: usize = 8;

/// What a record holds (`HVM_SAVE_CODE`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the names are those of xen/arch-x86/hvm/save.h")]
pub enum Code {
    Header,
    Cpu,
    Pic,
    Ioapic,
    Lapic,
    LapicRegs,
    PciIrq,
    IsaIrq,
    PciLink,
    Pit,
    Rtc,
    Hpet,
    PmTimer,
    Mtrr,
    ViridianDomain,
    CpuXsave,
    ViridianVcpu,
    VmceVcpu,
    TscAdjust,
    CpuMsr,
}

/// How long a record's data may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Length {
    Exactly(usize),
    /// Today's, or that of an older Xen, which lacks the last fields.
    OneOf(&'static [usize]),
    /// At least so much, in whatever the processor's features need.
    AtLeast(usize),
}

/// Each code with its name and length. The numbers, from 1, are their places here.
const CODES: [(Code, &str, Length); 20] = [
    (Code::Header, "HEADER", Length::Exactly(24)),
    (Code::Cpu, "CPU", Length::OneOf(&[1032, 1024, 1016])),
    (Code::Pic, "PIC", Length::Exactly(8)),
    (Code::Ioapic, "IOAPIC", Length::Exactly(400)),
    (Code::Lapic, "LAPIC", Length::OneOf(&[24, 16])),
    (Code::LapicRegs, "LAPIC_REGS", Length::Exactly(1024)),
    (Code::PciIrq, "PCI_IRQ", Length::Exactly(16)),
    (Code::IsaIrq, "ISA_IRQ", Length::Exactly(8)),
    (Code::PciLink, "PCI_LINK", Length::Exactly(8)),
    (Code::Pit, "PIT", Length::Exactly(56)),
    (Code::Rtc, "RTC", Length::Exactly(24)),
    (Code::Hpet, "HPET", Length::Exactly(1048)),
    (Code::PmTimer, "PMTIMER", Length::Exactly(8)),
    (Code::Mtrr, "MTRR", Length::Exactly(240)),
    (Code::ViridianDomain, "VIRIDIAN_DOMAIN", Length::AtLeast(8)),
    (Code::CpuXsave, "CPU_XSAVE", Length::AtLeast(600)),
    (Code::ViridianVcpu, "VIRIDIAN_VCPU", Length::AtLeast(8)),
    (Code::VmceVcpu, "VMCE_VCPU", Length::AtLeast(8)),
    (Code::TscAdjust, "TSC_ADJUST", Length::Exactly(8)),
    (Code::CpuMsr, "CPU_MSR", Length::AtLeast(8)),
];

impl Code {
    /// The code of this number; `None` for those beyond `HVM_SAVE_CODE_MAX` of Xen 4.17. No new ones are to come.
    pub fn from_number(number: u16) -> Option<Code> {
        CODES.get(usize::from(number).checked_sub(1)?).map(|(code, ..)| *code)
    }

    /// Its number.
    pub fn number(self) -> u16 {
        self as u16 + 1
    }

    /// Its name in Xen's headers.
    pub fn name(self) -> &'static str {
        CODES[self as usize].1
    }

    fn takes(self, length: usize) -> bool {
        match CODES[self as usize].2 {
            Length::Exactly(wanted) => length == wanted,
            Length::OneOf(lengths) => lengths.contains(&length),
            Length::AtLeast(least) => length >= least,
        }
    }
}

/// A part of the virtual hardware.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// What it is.
    pub code: Code,
    /// Which of several: a vCPU, one of the two PICs.
    pub instance: u16,
    /// Its state ([`fields`](super::fields) takes it apart).
    pub data: &'a [u8],
}

/// Reads a whole context.
///
/// # Errors
/// It does not begin with HEADER or end with END, a code is unknown, or a length is not that of its code.
pub fn decode(bytes: &[u8]) -> Result<Vec<Record<'_>>, StreamError> {
    let mut f = Fields::new(PLACE, bytes);
    let mut records = Vec::new();
    loop {
        let (number, instance, length) = (f.u16("typecode")?, f.u16("instance")?, f.u32("length")? as usize);
        if number == 0 {
            if length != 0 {
                return Err(f.error(format!("END: length: 0 expected, found {length}")));
            }
            f.end()?;
            return Ok(records);
        }
        let code = Code::from_number(number).ok_or_else(|| f.error(format!("typecode: {number} is unknown")))?;
        if !code.takes(length) {
            return Err(f.error(format!("{}: length: {length} is wrong", code.name())));
        }
        let record = Record { code, instance, data: f.take(code.name(), length)? };
        if records.is_empty() != (code == Code::Header) {
            return Err(f.error("HEADER is to be the first record and no other"));
        }
        if code == Code::Header {
            check_header(record.data)?;
        }
        records.push(record);
    }
}

fn check_header(data: &[u8]) -> Result<(), StreamError> {
    let mut f = Fields::new(PLACE, data);
    match (f.u32("magic")?, f.u32("version")?) {
        (MAGIC, VERSION) => Ok(()),
        (MAGIC, version) => Err(f.error(format!("version: {VERSION} expected, found {version}"))),
        (magic, _) => Err(f.error(format!("magic: {MAGIC:#x} expected, found {magic:#x}"))),
    }
}

/// Writes a whole context, END included.
pub fn encode(records: &[Record<'_>]) -> Vec<u8> {
    let length = records.iter().map(|r| DESCRIPTOR + r.data.len()).sum::<usize>() + DESCRIPTOR;
    let mut out = Vec::with_capacity(length);
    for Record { code, instance, data } in records {
        out.extend(code.number().to_le_bytes());
        out.extend(instance.to_le_bytes());
        out.extend((data.len() as u32).to_le_bytes());
        out.extend_from_slice(data);
    }
    out.extend([0; DESCRIPTOR]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of a PVH guest with two vCPUs, saved by stock xl 4.17.
    const CAPTURED: &[u8] = include_bytes!("../../../tests/fixtures/pvh.hvmcontext");

    #[test]
    fn a_captured_context_is_read_whole_and_written_back() {
        let records = decode(CAPTURED).unwrap();
        let seen: Vec<_> = records.iter().map(|r| (r.code.name(), r.instance)).collect();
        let per_vcpu = |name| [(name, 0), (name, 1)];
        let domain = [("PCI_IRQ", 0), ("ISA_IRQ", 0), ("PCI_LINK", 0)];
        let expected = [&[("HEADER", 0)][..], &["CPU", "LAPIC", "LAPIC_REGS"].map(per_vcpu).concat(), &domain].concat();
        let expected = [expected, ["MTRR", "VMCE_VCPU", "TSC_ADJUST"].map(per_vcpu).concat()].concat();
        assert_eq!(seen, expected);
        assert_eq!(encode(&records), CAPTURED);
    }

    #[test]
    fn a_context_cut_anywhere_is_an_error() {
        for length in 0..CAPTURED.len() {
            assert!(decode(&CAPTURED[..length]).is_err(), "{length}");
        }
    }

    #[test]
    fn what_breaks_the_rules_is_refused() {
        let header = &decode(CAPTURED).unwrap()[0];
        let context = |records: &[Record<'_>]| encode(&[std::slice::from_ref(header), records].concat());
        let refusal = |bytes: &[u8]| decode(bytes).unwrap_err().to_string();
        let record = |code, data| Record { code, instance: 0, data };
        assert!(refusal(&context(&[record(Code::Rtc, &[0; 23])])).contains("RTC: length: 23"));
        assert!(refusal(&context(&[record(Code::CpuXsave, &[0; 599])])).contains("CPU_XSAVE"));
        assert!(decode(&context(&[record(Code::Cpu, &[0; 1016])])).is_ok(), "as Xen before 3.4 wrote it");
        assert!(refusal(&context(std::slice::from_ref(header))).contains("HEADER"), "twice");
        assert!(refusal(&encode(&[record(Code::PciIrq, &[0; 16])])).contains("HEADER"), "not at all");
        let mut bytes = CAPTURED.to_vec();
        bytes[8] ^= 1;
        assert!(refusal(&bytes).contains("magic"));
        let mut bytes = CAPTURED.to_vec();
        bytes[12] = 2;
        assert!(refusal(&bytes).contains("version"));
        let mut bytes = CAPTURED.to_vec();
        bytes[32] = 21;
        assert!(refusal(&bytes).contains("typecode: 21"));
        let mut bytes = CAPTURED.to_vec();
        let end = bytes.len() - 4;
        bytes[end] = 8;
        assert!(refusal(&bytes).contains("END"));
        assert!(decode(&[CAPTURED, b"x"].concat()).is_err(), "more after END");
    }

    #[test]
    fn numbers_are_those_of_xens_headers() {
        for (number, name) in [(1, "HEADER"), (2, "CPU"), (12, "HPET"), (16, "CPU_XSAVE"), (20, "CPU_MSR")] {
            let code = Code::from_number(number).unwrap();
            assert_eq!((code.name(), code.number()), (name, number));
        }
        assert!(CODES.iter().enumerate().all(|(i, (code, ..))| *code as usize == i));
        assert_eq!((Code::from_number(0), Code::from_number(21)), (None, None));
    }
}
