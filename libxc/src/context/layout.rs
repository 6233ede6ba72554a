//! What the bytes of an HVM context's records mean: each structure of xen/arch-x86/hvm/save.h as a list of its fields.

use super::hvm::{Code, Record};

/// A field of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// Its name in Xen's header.
    pub name: &'static str,
    /// Bytes of each of its values: 1, 2, 4 or 8.
    pub width: usize,
    /// Its bytes: one value, or an array of them.
    pub bytes: &'a [u8],
}

impl Field<'_> {
    /// Its values.
    pub fn values(&self) -> impl Iterator<Item = u64> {
        self.bytes
            .chunks_exact(self.width)
            .map(|value| value.iter().rev().fold(0, |all, byte| all << 8 | u64::from(*byte)))
    }
}

/// Fields of one width, each once unless its name ends in `[count]`.
type Run = (usize, &'static str);

/// Takes a record apart. What a structure does not name stays as bytes, under `data`.
pub fn fields<'a>(record: &Record<'a>) -> Vec<Field<'a>> {
    let mut rest = record.data;
    let mut fields = Vec::new();
    for &(width, names) in runs(record) {
        for name in names.split_whitespace() {
            let (name, count) = counted(name);
            // An older, shorter form lacks the last fields.
            let Some((bytes, after)) = rest.split_at_checked(width * count) else { break };
            rest = after;
            fields.push(Field { name, width, bytes });
        }
    }
    if !rest.is_empty() {
        fields.push(Field { name: "data", width: 1, bytes: rest });
    }
    fields
}

/// `sint_msr[16]`: a name and how many values it has.
fn counted(name: &'static str) -> (&'static str, usize) {
    let array = name.strip_suffix(']').and_then(|name| name.split_once('['));
    array.and_then(|(name, count)| Some((name, count.parse().ok()?))).unwrap_or((name, 1))
}

const CPU: &[Run] = &[
    (1, "fpu_regs[512]"),
    (8, "rax rbx rcx rdx rbp rsi rdi rsp r8 r9 r10 r11 r12 r13 r14 r15 rip rflags cr0 cr2 cr3 cr4"),
    (8, "dr0 dr1 dr2 dr3 dr6 dr7"),
    (4, "cs_sel ds_sel es_sel fs_sel gs_sel ss_sel tr_sel ldtr_sel"),
    (4, "cs_limit ds_limit es_limit fs_limit gs_limit ss_limit tr_limit ldtr_limit idtr_limit gdtr_limit"),
    (8, "cs_base ds_base es_base fs_base gs_base ss_base tr_base ldtr_base idtr_base gdtr_base"),
    (4, "cs_arbytes ds_arbytes es_arbytes fs_arbytes gs_arbytes ss_arbytes tr_arbytes ldtr_arbytes"),
    (8, "sysenter_cs sysenter_esp sysenter_eip shadow_gs"),
    (8, "msr_flags msr_lstar msr_star msr_cstar msr_syscall_mask msr_efer"),
];
const CPU_TODAY: &[Run] = &[(8, "msr_tsc_aux tsc"), (4, "pending_event error_code flags pad0")];
/// Before Xen 3.4: without the last register, and without the flags.
const CPU_BEFORE: &[Run] = &[(8, "tsc"), (4, "pending_event error_code")];
/// `sizeof(struct hvm_hw_cpu_compat)`.
const CPU_BEFORE_LENGTH: usize = 1016;

fn runs<'r>(record: &Record<'_>) -> impl Iterator<Item = &'r Run> {
    let more: &[Run] = match record.code {
        Code::Cpu if record.data.len() == CPU_BEFORE_LENGTH => CPU_BEFORE,
        Code::Cpu => CPU_TODAY,
        _ => &[],
    };
    structure(record.code).iter().chain(more)
}

fn structure(code: Code) -> &'static [Run] {
    match code {
        Code::Header => &[(4, "magic version"), (8, "changeset"), (4, "cpuid gtsc_khz")],
        Code::Cpu => CPU,
        // From the fifth byte on it is bits of the C compiler's order.
        Code::Pic => &[(1, "irr imr isr irq_base state[2] elcr int_output")],
        Code::Ioapic => &[(8, "base_address"), (4, "ioregsel id"), (8, "redirtbl[48]")],
        Code::Lapic => &[(8, "apic_base_msr"), (4, "disabled timer_divisor"), (8, "tdt_msr")],
        Code::LapicRegs => &[(4, "data[256]")],
        Code::PciIrq => &[(8, "i[2]")],
        Code::IsaIrq => &[(8, "i")],
        Code::PciLink => &[(1, "route[4] pad0[4]")],
        Code::Pit => &[(1, "channels[48]"), (4, "speaker_data_on pad0")],
        Code::Rtc => &[(1, "cmos_data[14] cmos_index pad0"), (8, "rtc_offset")],
        Code::Hpet => &[(8, "capability res0 config res1 isr res2[25] mc64 res3 timers[12] res5[84] period[3]")],
        Code::PmTimer => &[(4, "tmr_val"), (2, "pm1a_sts pm1a_en")],
        Code::Mtrr => &[(8, "msr_pat_cr msr_mtrr_var[16] msr_mtrr_fixed[11] msr_mtrr_cap msr_mtrr_def_type")],
        Code::ViridianDomain => &[(8, "hypercall_gpa guest_os_id time_ref_count reference_tsc")],
        Code::CpuXsave => {
            &[(8, "xfeature_mask xcr0 xcr0_accum"), (1, "fpu_sse[512]"), (8, "xstate_bv xcomp_bv reserved[6]")]
        }
        Code::ViridianVcpu => &[
            (8, "vp_assist_msr"),
            (1, "apic_assist_pending _pad[7]"),
            (8, "simp_msr sint_msr[16] stimer_config_msr[4] stimer_count_msr[4]"),
        ],
        Code::VmceVcpu => &[(8, "caps mci_ctl2_bank0 mci_ctl2_bank1 mcg_ext_ctl")],
        Code::TscAdjust => &[(8, "tsc_adjust")],
        Code::CpuMsr => &[(4, "count pad")],
    }
}

#[cfg(test)]
mod tests {
    use super::super::hvm::decode;
    use super::*;

    const CAPTURED: &[u8] = include_bytes!("../../../tests/fixtures/pvh.hvmcontext");

    fn value(record: &Record<'_>, name: &str) -> u64 {
        let field = fields(record).into_iter().find(|f| f.name == name).unwrap();
        assert_eq!(field.values().count(), 1);
        field.values().next().unwrap()
    }

    #[test]
    fn a_captured_cpu_is_in_long_mode_in_its_kernel() {
        let records = decode(CAPTURED).unwrap();
        let cpu = records.iter().find(|r| r.code == Code::Cpu).unwrap();
        assert_eq!(value(cpu, "cs_sel"), 0x10);
        assert_eq!(value(cpu, "rip") >> 32, 0xffff_ffff, "Linux lies in the last 2 GiB");
        assert_eq!(value(cpu, "cr0") & 0x8000_0001, 0x8000_0001);
        assert_eq!(value(cpu, "msr_efer") & 0x500, 0x500);
        assert_eq!(value(cpu, "flags"), 1);
        let mtrr = records.iter().find(|r| r.code == Code::Mtrr).unwrap();
        assert_eq!(value(mtrr, "msr_pat_cr") & 7, 6, "the first type is write-back");
    }

    #[test]
    fn the_fields_of_a_whole_record_are_all_of_it() {
        for (code, length) in [
            (2, 1032),
            (2, 1024),
            (2, 1016),
            (3, 8),
            (4, 400),
            (5, 24),
            (5, 16),
            (6, 1024),
            (7, 16),
            (8, 8),
            (9, 8),
            (10, 56),
        ]
        .into_iter()
        .chain([(11, 24), (12, 1048), (13, 8), (14, 240), (15, 32), (16, 600), (17, 216), (18, 32), (19, 8)])
        {
            let data = vec![0; length];
            let record = Record { code: Code::from_number(code).unwrap(), instance: 0, data: &data };
            let fields = fields(&record);
            assert_eq!(fields.iter().map(|f| f.bytes.len()).sum::<usize>(), length, "{:?}", record.code);
            assert!(fields.iter().all(|f| f.name != "data" || code == 6), "{:?} {length}", record.code);
        }
    }
}
