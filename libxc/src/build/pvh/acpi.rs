//! The ACPI tables of a PVH guest: its processors, and little hardware besides.
//!
//! The layout in memory is one block: MADT, DSDT, FACS, FADT, XSDT, each on a 16-byte boundary; the RSDP is
//! elsewhere.

use acpi_tables::aml::{
    self, Device, Field, FieldAccessType, FieldEntry, FieldLockRule, FieldUpdateRule, If, Method, Name, OpRegion,
    OpRegionSpace, Path, Return, Scope, ToBuffer,
};
use acpi_tables::fadt::{FADTBuilder, Flags};
use acpi_tables::madt::{EnabledStatus, LocalInterruptController, MADT, ProcessorLocalApic};
use acpi_tables::rsdp::Rsdp;
use acpi_tables::sdt::Sdt;
use acpi_tables::xsdt::XSDT;
use acpi_tables::{Aml, AmlSink, facs::FACS, gas};

/// The local APICs' address, that of every x86 processor.
const LAPIC_BASE: u32 = 0xfee0_0000;
/// Processors that fit: APIC ids are even, and of eight bits.
pub(super) const MAX_VCPUS: u32 = 128;

const OEM_ID: [u8; 6] = *b"Xen\0\0\0";
const OEM_TABLE_ID: [u8; 8] = *b"HVM\0\0\0\0\0";
const OEM_REVISION: u32 = 0;

/// Offset of the first local APIC in the MADT, and the size of each.
const MADT_LAPICS: u64 = 44;
const MADT_LAPIC_SIZE: u64 = 8;

/// The tables as they go into the guest's memory.
pub(super) struct Tables {
    /// Everything but the RSDP.
    pub(super) bytes: Vec<u8>,
    xsdt: u64,
}

impl Tables {
    /// The tables for address `at`. `online` tells of each processor whether it is up from the start.
    pub(super) fn new(at: u64, online: &[bool]) -> Tables {
        let mut block = Block { at, bytes: Vec::new() };
        let madt = block.push(&madt(online), 16);
        let dsdt = block.push(&dsdt(madt, online.len()), 16);
        let facs = block.push(&FACS::new(), 64);
        let fadt = block.push(&fadt(dsdt, facs).finalize(), 16);
        let mut xsdt = XSDT::new(OEM_ID, OEM_TABLE_ID, OEM_REVISION);
        xsdt.add_entry(fadt);
        xsdt.add_entry(madt);
        let xsdt = block.push(&xsdt, 16);
        Tables { bytes: block.bytes, xsdt }
    }

    /// The RSDP, which tells where they are.
    pub(super) fn rsdp(&self) -> Vec<u8> {
        bytes_of(&Rsdp::new(OEM_ID, self.xsdt))
    }
}

/// Tables one after the other.
struct Block {
    at: u64,
    bytes: Vec<u8>,
}

impl Block {
    /// Appends a table; gives its address.
    fn push(&mut self, table: &dyn Aml, align: usize) -> u64 {
        self.bytes.resize(self.bytes.len().next_multiple_of(align), 0);
        let at = self.at + self.bytes.len() as u64;
        table.to_aml_bytes(&mut self.bytes);
        at
    }
}

fn bytes_of(table: &dyn Aml) -> Vec<u8> {
    let mut bytes = Vec::new();
    table.to_aml_bytes(&mut bytes);
    bytes
}

/// The processors' local APICs. A PVH guest has no I/O APIC.
fn madt(online: &[bool]) -> MADT {
    let mut madt = MADT::new(OEM_ID, OEM_TABLE_ID, OEM_REVISION, LocalInterruptController::Address(LAPIC_BASE));
    for (vcpu, up) in (0..).zip(online) {
        let status = if *up { EnabledStatus::Enabled } else { EnabledStatus::Disabled };
        // Xen gives vCPU n the APIC id 2n.
        madt.add_structure(ProcessorLocalApic::new(vcpu, vcpu.wrapping_mul(2), status));
    }
    madt
}

/// The fixed hardware: none of what it describes but the ACPI registers, which read as absent.
fn fadt(dsdt: u64, facs: u64) -> FADTBuilder {
    const PM1A_EVENT: u16 = 0xb000;
    const PM1A_CONTROL: u16 = 0xb004;
    const RESET_PORT: u16 = 0xcf9;
    const NO_VGA: u16 = 1 << 2;
    const NO_CMOS_RTC: u16 = 1 << 5;
    /// Over 100 us and 1000 us: there are no such states.
    const NO_C2_C3: u16 = 0xfff;

    let mut fadt = FADTBuilder::new(OEM_ID, OEM_TABLE_ID, OEM_REVISION)
        .flag(Flags::Wbinvd)
        .flag(Flags::ProcC1)
        .flag(Flags::PwrButton)
        .flag(Flags::SlpButton)
        .flag(Flags::FixRtc)
        .flag(Flags::TmrValExt)
        .flag(Flags::UsePlatformClock);
    fadt.dsdt = (dsdt as u32).into();
    fadt.x_dsdt = dsdt.into();
    // One of the two addresses, or the FACS is taken twice.
    fadt.firmware_ctrl = (facs as u32).into();
    fadt.sci_int = 9.into();
    fadt.pm1a_evt_blk = u32::from(PM1A_EVENT).into();
    fadt.pm1_evt_len = 4;
    fadt.x_pm1a_evt_blk = io_port(PM1A_EVENT, 32);
    fadt.pm1a_cnt_blk = u32::from(PM1A_CONTROL).into();
    fadt.pm1_cnt_len = 2;
    fadt.x_pm1a_cnt_blk = io_port(PM1A_CONTROL, 16);
    fadt.p_lvl2_lat = NO_C2_C3.into();
    fadt.p_lvl3_lat = NO_C2_C3.into();
    fadt.iapc_boot_arch = (NO_VGA | NO_CMOS_RTC).into();
    fadt.reset_reg = io_port(RESET_PORT, 8);
    fadt.reset_value = 6;
    fadt
}

fn io_port(port: u16, bits: u8) -> gas::GAS {
    gas::GAS::new(gas::AddressSpace::SystemIo, bits, 0, gas::AccessSize::Undefined, port.into())
}

/// The processor devices. Each reads its MADT entry, so that a change there shows.
fn dsdt(madt: u64, vcpus: usize) -> Sdt {
    let mut body = Vec::new();
    let first = madt + MADT_LAPICS;
    let devices: Vec<Vec<u8>> = (0..vcpus as u64).map(|n| processor(n, first + n * MADT_LAPIC_SIZE)).collect();
    let devices: Vec<Raw> = devices.into_iter().map(Raw).collect();
    Scope::new(Path::new("\\_SB_"), devices.iter().map(|device| device as &dyn Aml).collect()).to_aml_bytes(&mut body);

    const HEADER_SIZE: u32 = 36;
    // Revision 2 and later: integers are of 64 bits, which `_MAT` needs.
    const REVISION: u8 = 5;
    let mut dsdt = Sdt::new(*b"DSDT", HEADER_SIZE, REVISION, OEM_ID, OEM_TABLE_ID, OEM_REVISION);
    dsdt.append_slice(&body);
    dsdt
}

/// AML that is made already.
struct Raw(Vec<u8>);

impl Aml for Raw {
    fn to_aml_bytes(&self, sink: &mut dyn AmlSink) {
        sink.vec(&self.0);
    }
}

/// The device of a processor whose MADT entry is at `lapic`.
fn processor(number: u64, lapic: u64) -> Vec<u8> {
    const PRESENT_AND_WORKING: u8 = 0xf;
    let entry = |entries| {
        let (access, lock, update) = (FieldAccessType::Byte, FieldLockRule::NoLock, FieldUpdateRule::Preserve);
        Field::new(Path::new("MATR"), access, lock, update, entries)
    };
    let name = format!("C{number:03X}");
    let (whole, enabled) = (Path::new("MAT_"), Path::new("FLG_"));
    bytes_of(&Device::new(
        Path::new(&name),
        vec![
            &Name::new(Path::new("_HID"), &"ACPI0007"),
            &Name::new(Path::new("_UID"), &number),
            &OpRegion::new(Path::new("MATR"), OpRegionSpace::SystemMemory, &lapic, &MADT_LAPIC_SIZE),
            &entry(vec![FieldEntry::Named(*b"MAT_", 64)]),
            &entry(vec![FieldEntry::Reserved(32), FieldEntry::Named(*b"FLG_", 1)]),
            &Method::new(Path::new("_MAT"), 0, false, vec![&Return::new(&ToBuffer::new(&aml::ZERO, &whole))]),
            &Method::new(
                Path::new("_STA"),
                0,
                false,
                vec![&If::new(&enabled, vec![&Return::new(&PRESENT_AND_WORKING)]), &Return::new(&aml::ZERO)],
            ),
        ],
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: u64 = 0xfc00_0000;

    fn sum(bytes: &[u8]) -> u8 {
        bytes.iter().fold(0, |sum, byte| sum.wrapping_add(*byte))
    }

    fn word(bytes: &[u8], at: usize) -> u64 {
        u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
    }

    /// The table at an address: signature, whole of it.
    fn table(tables: &Tables, address: u64) -> &[u8] {
        let start = (address - AT) as usize;
        let length = u32::from_le_bytes(tables.bytes[start + 4..start + 8].try_into().unwrap());
        &tables.bytes[start..start + length as usize]
    }

    #[test]
    fn every_table_is_found_from_the_rsdp_and_sums_to_zero() {
        let tables = Tables::new(AT, &[true, true, false]);
        let rsdp = tables.rsdp();
        assert_eq!((sum(&rsdp[..20]), sum(&rsdp)), (0, 0));
        let xsdt = table(&tables, word(&rsdp, 24));
        let fadt = table(&tables, word(xsdt, 36));
        let madt = table(&tables, word(xsdt, 44));
        let dsdt = table(&tables, word(fadt, 140));
        for (name, table) in [(b"XSDT", xsdt), (b"FACP", fadt), (b"APIC", madt), (b"DSDT", dsdt)] {
            assert_eq!((&table[..4], sum(table)), (&name[..], 0));
        }
        let facs = word(fadt, 36) & u64::from(u32::MAX);
        assert_eq!((&table(&tables, facs)[..4], facs % 64), (&b"FACS"[..], 0));
    }

    #[test]
    fn the_madt_has_an_entry_for_every_processor() {
        let tables = Tables::new(AT, &[true, false]);
        let madt = table(&tables, AT);
        assert_eq!(madt[MADT_LAPICS as usize..], [0, 8, 0, 0, 1, 0, 0, 0, 0, 8, 1, 2, 0, 0, 0, 0]);
    }

    #[test]
    fn the_most_processors_fit_below_the_other_things_in_the_hole() {
        let tables = Tables::new(AT, &[true; MAX_VCPUS as usize]);
        assert!(tables.bytes.len() < 64 << 10, "{}", tables.bytes.len());
    }
}
