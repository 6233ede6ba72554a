//! Records of x86 guests of both kinds: time, parameters, policies.

use super::Result;
use super::bytes::Fields;
use crate::cpuid::{CpuidLeaf, MsrEntry};

/// X86_TSC_INFO: how the time stamp counter goes on after a restore (`XEN_DOMCTL_settscinfo`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TscInfo {
    /// `XEN_CPUID_TSC_MODE_*`.
    pub mode: u32,
    /// The guest's frequency in kHz.
    pub khz: u32,
    /// Nanoseconds that the guest has lived.
    pub nsec: u64,
    /// How often the guest has moved.
    pub incarnation: u32,
}

impl TscInfo {
    /// The record's body.
    pub fn encode(&self) -> [u8; 24] {
        let mut out = [0; 24];
        out[..4].copy_from_slice(&self.mode.to_le_bytes());
        out[4..8].copy_from_slice(&self.khz.to_le_bytes());
        out[8..16].copy_from_slice(&self.nsec.to_le_bytes());
        out[16..20].copy_from_slice(&self.incarnation.to_le_bytes());
        out
    }

    /// Reads the record's body.
    pub fn decode(body: &[u8]) -> Result<TscInfo> {
        let mut f = Fields::new("X86_TSC_INFO", body);
        let info = TscInfo {
            mode: f.u32("mode")?,
            khz: f.u32("khz")?,
            nsec: f.u64("nsec")?,
            incarnation: f.u32("incarnation")?,
        };
        let reserved = f.u32("reserved")?;
        f.reserved("reserved", reserved)?;
        f.end()?;
        Ok(info)
    }
}

/// One of HVM_PARAMS: an HVM parameter (`HVM_PARAM_*`, hvm/params.h).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HvmParam {
    /// Which parameter.
    pub index: u64,
    /// Its value.
    pub value: u64,
}

/// The body of HVM_PARAMS.
pub fn encode_hvm_params(params: &[HvmParam]) -> Vec<u8> {
    let mut out = Vec::with_capacity(8 + params.len() * 16);
    out.extend_from_slice(&(params.len() as u32).to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    for p in params {
        out.extend_from_slice(&p.index.to_le_bytes());
        out.extend_from_slice(&p.value.to_le_bytes());
    }
    out
}

/// Reads the body of HVM_PARAMS. No parameters at all is allowed: Xen 4.6 to 4.8 wrote such records.
pub fn decode_hvm_params(body: &[u8]) -> Result<Vec<HvmParam>> {
    let mut f = Fields::new("HVM_PARAMS", body);
    let (count, reserved) = (f.u32("count")?, f.u32("reserved")?);
    f.reserved("reserved", reserved)?;
    if f.left() as u64 != u64::from(count) * 16 {
        return Err(f.error(format!("count: {count} parameters do not match {} bytes", f.left())));
    }
    (0..count).map(|_| Ok(HvmParam { index: f.u64("index")?, value: f.u64("value")? })).collect()
}

/// The body of X86_CPUID_POLICY.
pub fn encode_cpuid_policy(leaves: &[CpuidLeaf]) -> Vec<u8> {
    let words = leaves.iter().flat_map(|l| [l.leaf, l.subleaf].into_iter().chain(l.registers));
    words.flat_map(u32::to_le_bytes).collect()
}

/// Reads the body of X86_CPUID_POLICY: one leaf or more.
pub fn decode_cpuid_policy(body: &[u8]) -> Result<Vec<CpuidLeaf>> {
    let mut f = Fields::new("X86_CPUID_POLICY", body);
    let count = whole_entries(&f, 24)?;
    let mut leaf = || {
        Ok(CpuidLeaf {
            leaf: f.u32("leaf")?,
            subleaf: f.u32("subleaf")?,
            registers: [f.u32("eax")?, f.u32("ebx")?, f.u32("ecx")?, f.u32("edx")?],
        })
    };
    (0..count).map(|_| leaf()).collect()
}

/// The body of X86_MSR_POLICY.
pub fn encode_msr_policy(msrs: &[MsrEntry]) -> Vec<u8> {
    let mut out = Vec::with_capacity(msrs.len() * 16);
    for m in msrs {
        out.extend_from_slice(&m.index.to_le_bytes());
        out.extend_from_slice(&m.flags.to_le_bytes());
        out.extend_from_slice(&m.value.to_le_bytes());
    }
    out
}

/// Reads the body of X86_MSR_POLICY: one register or more.
pub fn decode_msr_policy(body: &[u8]) -> Result<Vec<MsrEntry>> {
    let mut f = Fields::new("X86_MSR_POLICY", body);
    let count = whole_entries(&f, 16)?;
    (0..count)
        .map(|_| Ok(MsrEntry { index: f.u32("index")?, flags: f.u32("flags")?, value: f.u64("value")? }))
        .collect()
}

/// How many entries of `size` bytes the body holds; at least one, and nothing left over.
fn whole_entries(f: &Fields<'_>, size: usize) -> Result<usize> {
    match f.left() {
        0 => Err(f.error("at least one entry expected")),
        n if n % size != 0 => Err(f.error(format!("length: a multiple of {size} expected, found {n}"))),
        n => Ok(n / size),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_survive_the_round_trip() {
        let tsc = TscInfo { mode: 1, khz: 2_596_128, nsec: 1 << 40, incarnation: 2 };
        assert_eq!(TscInfo::decode(&tsc.encode()), Ok(tsc));
        let params = [HvmParam { index: 1, value: 0xfeffc }, HvmParam { index: 17, value: 0xfefff }];
        assert_eq!(decode_hvm_params(&encode_hvm_params(&params)).unwrap(), params);
        let leaves = [CpuidLeaf { leaf: 0, subleaf: u32::MAX, registers: [13, 1, 2, 3] }];
        assert_eq!(decode_cpuid_policy(&encode_cpuid_policy(&leaves)).unwrap(), leaves);
        let msrs = [MsrEntry { index: 0xce, flags: 0, value: 1 << 31 }];
        assert_eq!(decode_msr_policy(&encode_msr_policy(&msrs)).unwrap(), msrs);
    }

    #[test]
    fn lengths_that_do_not_fit_are_refused() {
        let body = encode_hvm_params(&[HvmParam { index: 1, value: 2 }]);
        assert!(decode_hvm_params(&body[..23]).is_err());
        assert!(decode_hvm_params(&[255, 255, 255, 255, 0, 0, 0, 0]).is_err());
        assert!(decode_cpuid_policy(&[]).is_err() && decode_cpuid_policy(&[0; 25]).is_err());
        assert!(decode_msr_policy(&[0; 17]).is_err());
        assert!(TscInfo::decode(&[0; 25]).is_err());
    }

    #[test]
    fn an_empty_parameter_record_of_old_xen_is_accepted() {
        assert_eq!(decode_hvm_params(&[0; 8]).unwrap(), []);
    }
}
