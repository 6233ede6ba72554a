//! The state that a PVH guest's processors start with (the boot ABI of docs/misc/pvh.pandoc): 32-bit
//! protected mode without paging, flat segments, `ebx` at the start info; memory is cached write-back.
//!
//! It is given to Xen as records of a domain's saved hardware (xen/arch-x86/hvm/save.h).

use crate::{Error, Result};
use std::mem::offset_of;
use xenctrl_sys::{hvm_hw_cpu, hvm_hw_mtrr};

/// Record types (`HVM_SAVE_CODE`).
const END: u16 = 0;
const HEADER: u16 = 1;
const CPU: u16 = 2;
const MTRR: u16 = 14;
/// Type, instance and length in front of each record.
const DESCRIPTOR_SIZE: usize = 8;

/// `state` is what Xen tells of the new domain: its header goes back to it, since only Xen can make that.
/// Gives the records for `vcpus` processors, of which the first starts at `entry`.
pub(super) fn boot_context(state: &[u8], vcpus: u32, entry: u32, start_info: u64) -> Result<Vec<u8>> {
    let missing = |what| Error::Invalid(format!("the new domain's hardware has no {what} record"));
    let header = find(state, HEADER, 0).ok_or_else(|| missing("header"))?;
    let mtrr = cached_memory(find(state, MTRR, 0).ok_or_else(|| missing("MTRR"))?)?;

    let mut records = Vec::new();
    push(&mut records, HEADER, 0, header);
    for vcpu in 0..vcpus {
        push(&mut records, MTRR, vcpu as u16, &mtrr);
    }
    // The last one, since a processor is started by its record.
    push(&mut records, CPU, 0, &first_cpu(entry, start_info));
    push(&mut records, END, 0, &[]);
    Ok(records)
}

/// A record's contents.
fn find(mut state: &[u8], wanted: u16, instance: u16) -> Option<&[u8]> {
    loop {
        let (descriptor, rest) = state.split_first_chunk::<DESCRIPTOR_SIZE>()?;
        let kind = u16::from_le_bytes([descriptor[0], descriptor[1]]);
        let of = u16::from_le_bytes([descriptor[2], descriptor[3]]);
        let length = u32::from_le_bytes([descriptor[4], descriptor[5], descriptor[6], descriptor[7]]);
        let (contents, rest) = rest.split_at_checked(length as usize)?;
        match (kind, of) {
            (END, _) => return None,
            found if found == (wanted, instance) => return Some(contents),
            _ => state = rest,
        }
    }
}

fn push(records: &mut Vec<u8>, kind: u16, instance: u16, contents: &[u8]) {
    records.extend(kind.to_le_bytes());
    records.extend(instance.to_le_bytes());
    records.extend((contents.len() as u32).to_le_bytes());
    records.extend(contents);
}

/// The MTRRs that Xen gave, switched on with write-back as the default type.
fn cached_memory(given: &[u8]) -> Result<Vec<u8>> {
    const ENABLE: u64 = 1 << 11;
    const WRITE_BACK: u64 = 6;
    let mut mtrr = given.to_vec();
    let at = offset_of!(hvm_hw_mtrr, msr_mtrr_def_type);
    let field = mtrr.get_mut(at..at + 8);
    let field = field.ok_or_else(|| Error::Invalid("the new domain's MTRR record is too short".into()))?;
    field.copy_from_slice(&(ENABLE | WRITE_BACK).to_le_bytes());
    Ok(mtrr)
}

/// The record of the first processor.
fn first_cpu(entry: u32, start_info: u64) -> Vec<u8> {
    const CR0_PE: u64 = 1 << 0;
    const CR0_ET: u64 = 1 << 4;
    const CODE: u32 = 0xc9b;
    const DATA: u32 = 0xc93;
    const BUSY_TSS: u32 = 0x8b;
    let mut record = vec![0; size_of::<hvm_hw_cpu>()];
    let mut set64 = |at: usize, value: u64| record[at..at + 8].copy_from_slice(&value.to_le_bytes());
    set64(offset_of!(hvm_hw_cpu, rbx), start_info);
    set64(offset_of!(hvm_hw_cpu, rip), entry.into());
    set64(offset_of!(hvm_hw_cpu, cr0), CR0_PE | CR0_ET);
    set64(offset_of!(hvm_hw_cpu, dr6), 0xffff_0ff0);
    set64(offset_of!(hvm_hw_cpu, dr7), 0x400);
    let mut set32 = |at: usize, value: u32| record[at..at + 4].copy_from_slice(&value.to_le_bytes());
    set32(offset_of!(hvm_hw_cpu, cs_limit), u32::MAX);
    set32(offset_of!(hvm_hw_cpu, ds_limit), u32::MAX);
    set32(offset_of!(hvm_hw_cpu, es_limit), u32::MAX);
    set32(offset_of!(hvm_hw_cpu, ss_limit), u32::MAX);
    set32(offset_of!(hvm_hw_cpu, tr_limit), 0x67);
    set32(offset_of!(hvm_hw_cpu, cs_arbytes), CODE);
    set32(offset_of!(hvm_hw_cpu, ds_arbytes), DATA);
    set32(offset_of!(hvm_hw_cpu, es_arbytes), DATA);
    set32(offset_of!(hvm_hw_cpu, ss_arbytes), DATA);
    set32(offset_of!(hvm_hw_cpu, tr_arbytes), BUSY_TSS);
    record
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What Xen tells of a domain, as far as it matters here.
    fn state() -> Vec<u8> {
        let mut state = Vec::new();
        push(&mut state, HEADER, 0, &[7; 24]);
        push(&mut state, CPU, 0, &[1; 5]);
        push(&mut state, MTRR, 0, &[9; size_of::<hvm_hw_mtrr>()]);
        push(&mut state, END, 0, &[]);
        state
    }

    #[test]
    fn the_records_are_in_the_order_that_xen_wants() {
        let records = boot_context(&state(), 2, 0x100_0000, 0x5000).unwrap();
        assert_eq!(find(&records, HEADER, 0).unwrap(), [7; 24]);
        let mtrr = find(&records, MTRR, 1).unwrap();
        let at = offset_of!(hvm_hw_mtrr, msr_mtrr_def_type);
        assert_eq!(mtrr[at..at + 8], 0x806u64.to_le_bytes());
        assert_eq!(mtrr[..at], [9; offset_of!(hvm_hw_mtrr, msr_mtrr_def_type)]);
        let cpu = find(&records, CPU, 0).unwrap();
        let rip = offset_of!(hvm_hw_cpu, rip);
        assert_eq!(cpu[rip..rip + 8], 0x100_0000u64.to_le_bytes());
        let rbx = offset_of!(hvm_hw_cpu, rbx);
        assert_eq!(cpu[rbx..rbx + 8], 0x5000u64.to_le_bytes());
        assert!(records.ends_with(&[0; 8]));
    }

    #[test]
    fn a_state_without_what_is_needed_is_an_error() {
        let mut no_mtrr = Vec::new();
        push(&mut no_mtrr, HEADER, 0, &[7; 24]);
        push(&mut no_mtrr, END, 0, &[]);
        assert!(boot_context(&no_mtrr, 1, 0, 0).unwrap_err().to_string().contains("MTRR"));
        assert!(boot_context(&[1, 0, 0], 1, 0, 0).is_err());
        assert!(boot_context(&[1, 0, 0, 0, 255, 255, 255, 255], 1, 0, 0).is_err());
    }
}
