//! A CPU policy as values: the edits that the toolstack makes to a default one, before Xen checks the outcome.

use super::{CpuidLeaf, MsrEntry};
use crate::{Error, Result};

/// The subleaf of a leaf that has none (`XEN_CPUID_NO_SUBLEAF`).
pub const NO_SUBLEAF: u32 = u32::MAX;

/// Whose view of a processor a domain has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Container {
    /// A PV domain, which sees the host's topology where the hardware cannot hide it.
    Pv,
    /// An HVM or PVH domain, whose topology Xen makes up.
    Hvm,
}

/// What the configuration says about the processor beside single registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Whether the domain comes from Xen 4.13 or earlier, whose streams lack the policy: it gets what it had there.
    pub restore: bool,
    /// Physical address extension; for HVM only.
    pub pae: bool,
    /// The invariant time stamp counter: for a domain that never moves, or whose counter is emulated.
    pub itsc: bool,
    /// Hardware virtualisation; for HVM only.
    pub nested_virt: bool,
}

/// The leaves of a policy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CpuidPolicy(pub Vec<CpuidLeaf>);

/// The model-specific registers of a policy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MsrPolicy(pub Vec<MsrEntry>);

/// A register of a leaf, as an index into [`CpuidLeaf::registers`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Register {
    Eax,
    Ebx,
    Ecx,
    Edx,
}

/// A bit of a register (arch-x86/cpufeatureset.h, and the vendors' manuals).
#[derive(Clone, Copy)]
struct Feature(u32, u32, Register, u32);

use Register::{Eax, Ebx, Ecx, Edx};
const VMX: Feature = Feature(1, NO_SUBLEAF, Ecx, 5);
const RDRAND: Feature = Feature(1, NO_SUBLEAF, Ecx, 30);
const PAE: Feature = Feature(1, NO_SUBLEAF, Edx, 6);
const HTT: Feature = Feature(1, NO_SUBLEAF, Edx, 28);
const HLE: Feature = Feature(7, 0, Ebx, 4);
const RTM: Feature = Feature(7, 0, Ebx, 11);
const MPX: Feature = Feature(7, 0, Ebx, 14);
const CMP_LEGACY: Feature = Feature(0x8000_0001, NO_SUBLEAF, Ecx, 1);
const SVM: Feature = Feature(0x8000_0001, NO_SUBLEAF, Ecx, 2);
const ITSC: Feature = Feature(0x8000_0007, NO_SUBLEAF, Edx, 8);

/// The highest leaves that Xen 4.13 gave a guest.
const XEN_4_13_MAX_BASIC: u32 = 0xd;
const XEN_4_13_MAX_EXTENDED: u32 = 0x8000_001c;
/// Where the leaves of hypervisors and the extended leaves start.
const HYPERVISOR_LEAVES: u32 = 0x4000_0000;
const EXTENDED_LEAVES: u32 = 0x8000_0000;

impl CpuidPolicy {
    /// Makes the policy of a domain from the default of its kind, as `xc_cpuid_apply_policy` does.
    pub fn apply(&mut self, host: &CpuidPolicy, container: Container, settings: Settings) {
        if settings.restore {
            self.as_xen_4_13(host, container);
        }
        self.set(ITSC, settings.itsc);
        match container {
            Container::Pv => {
                self.set(HTT, host.has(HTT));
                self.set(CMP_LEGACY, host.has(CMP_LEGACY));
            }
            Container::Hvm => {
                self.set(PAE, settings.pae);
                self.set(VMX, settings.nested_virt);
                self.set(SVM, settings.nested_virt);
                self.hvm_topology();
            }
        }
    }

    /// Turns on what has come to be off by default since, and takes off what did not exist then.
    fn as_xen_4_13(&mut self, host: &CpuidPolicy, container: Container) {
        for feature in [RDRAND, HLE, RTM] {
            self.set(feature, host.has(feature));
        }
        if container == Container::Hvm {
            self.set(MPX, host.has(MPX));
        }
        for (leaf, subleaf, max) in
            [(0, NO_SUBLEAF, XEN_4_13_MAX_BASIC), (7, 0, 0), (EXTENDED_LEAVES, NO_SUBLEAF, XEN_4_13_MAX_EXTENDED)]
        {
            if let Some(eax) = self.register(leaf, subleaf, Eax) {
                *eax = max.min(*eax);
            }
        }
        self.0.retain(|l| match l.leaf {
            7 => l.subleaf == 0,
            basic if basic < HYPERVISOR_LEAVES => basic <= XEN_4_13_MAX_BASIC,
            other => other <= XEN_4_13_MAX_EXTENDED,
        });
    }

    /// Tells an HVM guest that vCPU n has the APIC id 2n: no threads, room for twice as many processors.
    fn hvm_topology(&mut self) {
        self.set(HTT, true);
        self.set(CMP_LEGACY, false);
        if let Some(ebx) = self.register(1, NO_SUBLEAF, Ebx) {
            // Logical processors of a package.
            let doubled = match field(*ebx, 16, 8) {
                0 => 2,
                count if count & 0x80 == 0 => count * 2,
                count => count,
            };
            set_field(ebx, 16, 8, doubled);
        }
        match self.vendor().as_ref() {
            Some(b"GenuineIntel") => self.intel_caches(),
            Some(b"AuthenticAMD" | b"HygonGenuine") => self.amd_cores(),
            _ => {}
        }
    }

    fn intel_caches(&mut self) {
        for subleaf in 0.. {
            match self.register(4, subleaf, Eax) {
                // A type of 0 ends the list.
                Some(eax) if field(*eax, 0, 5) != 0 => {
                    let cores_per_package = field(*eax, 26, 6);
                    set_field(eax, 26, 6, cores_per_package << 1 | 1);
                    let threads_per_cache = 0;
                    set_field(eax, 14, 12, threads_per_cache);
                }
                _ => return,
            }
        }
    }

    fn amd_cores(&mut self) {
        let Some(ecx) = self.register(0x8000_0008, NO_SUBLEAF, Ecx) else { return };
        let (cores, apic_id_size) = (field(*ecx, 0, 8), field(*ecx, 12, 4));
        // Beyond this the count, less one, would overflow or part from leaf 1.
        if cores >= 0x7f {
            return;
        }
        // 0 has a meaning of its own, and some guests cannot take more than 7.
        if (1..7).contains(&apic_id_size) {
            set_field(ecx, 12, 4, apic_id_size + 1);
        }
        set_field(ecx, 0, 8, cores << 1 | 1);
    }

    /// The name in leaf 0.
    fn vendor(&self) -> Option<[u8; 12]> {
        let [_, ebx, ecx, edx] = self.find(0, NO_SUBLEAF)?.registers;
        let mut name = [0; 12];
        for (part, register) in name.chunks_exact_mut(4).zip([ebx, edx, ecx]) {
            part.copy_from_slice(&register.to_le_bytes());
        }
        Some(name)
    }

    fn find(&self, leaf: u32, subleaf: u32) -> Option<&CpuidLeaf> {
        self.0.iter().find(|l| l.leaf == leaf && l.subleaf == subleaf)
    }

    fn find_mut(&mut self, leaf: u32, subleaf: u32) -> Option<&mut CpuidLeaf> {
        self.0.iter_mut().find(|l| l.leaf == leaf && l.subleaf == subleaf)
    }

    fn register(&mut self, leaf: u32, subleaf: u32, register: Register) -> Option<&mut u32> {
        self.find_mut(leaf, subleaf).map(|l| &mut l.registers[register as usize])
    }

    fn has(&self, Feature(leaf, subleaf, register, bit): Feature) -> bool {
        self.find(leaf, subleaf).is_some_and(|l| l.registers[register as usize] & 1 << bit != 0)
    }

    /// Sets a bit, if the policy has the leaf.
    fn set(&mut self, Feature(leaf, subleaf, register, bit): Feature, on: bool) {
        if let Some(register) = self.register(leaf, subleaf, register) {
            set_field(register, bit, 1, on.into());
        }
    }
}

fn field(register: u32, low: u32, bits: u32) -> u32 {
    register >> low & ((1 << bits) - 1)
}

fn set_field(register: &mut u32, low: u32, bits: u32, value: u32) {
    let mask = ((1 << bits) - 1) << low;
    *register = *register & !mask | value << low & mask;
}

/// What a configuration wants of one leaf: for each register 32 characters, the highest bit first.
///
/// `1` and `0` force a bit, `x` takes the default's, `k` and `s` the host's (`cpuid` in xl.cfg(5)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeafOverride<'a> {
    /// The leaf.
    pub leaf: u32,
    /// The subleaf, if the leaf has any.
    pub subleaf: Option<u32>,
    /// eax, ebx, ecx, edx; an absent one stays as it is.
    pub registers: [Option<&'a str>; 4],
}

/// What a configuration wants of one model-specific register: 64 characters, the highest bit first, as for
/// [`LeafOverride`] but for `s`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MsrOverride<'a> {
    /// The register's number.
    pub index: u32,
    /// Its bits.
    pub bits: &'a str,
}

impl LeafOverride<'_> {
    /// Carries it out on a domain's current policy.
    pub fn apply(&self, current: &mut CpuidPolicy, default: &CpuidPolicy, host: &CpuidPolicy) -> Result<()> {
        let subleaf = self.subleaf.unwrap_or(NO_SUBLEAF);
        let name = match self.subleaf {
            Some(subleaf) => format!("CPUID leaf {:#x}, subleaf {subleaf:#x}", self.leaf),
            None => format!("CPUID leaf {:#x}", self.leaf),
        };
        let found =
            (current.find_mut(self.leaf, subleaf), default.find(self.leaf, subleaf), host.find(self.leaf, subleaf));
        let (Some(current), Some(default), Some(host)) = found else {
            return Err(Error::Invalid(format!("{name}: this host's policies have no such leaf")));
        };
        for (index, register) in ["eax", "ebx", "ecx", "edx"].into_iter().enumerate() {
            let Some(bits) = self.registers[index] else { continue };
            let (default, host) = (default.registers[index].into(), host.registers[index].into());
            let value =
                merge(bits, 32, default, host).map_err(|e| Error::Invalid(format!("{name}: {register}: {e}")))?;
            // 32 characters give 32 bits.
            current.registers[index] = value as u32;
        }
        Ok(())
    }
}

impl MsrOverride<'_> {
    /// Carries it out on a domain's current policy.
    pub fn apply(&self, current: &mut MsrPolicy, default: &MsrPolicy, host: &MsrPolicy) -> Result<()> {
        let name = format!("MSR {:#x}", self.index);
        let value = |policy: &MsrPolicy| policy.0.iter().find(|m| m.index == self.index).map(|m| m.value);
        let entry = current.0.iter_mut().find(|m| m.index == self.index);
        let (Some(entry), Some(default), Some(host)) = (entry, value(default), value(host)) else {
            return Err(Error::Invalid(format!("{name}: this host's policies have no such register")));
        };
        entry.value = merge(self.bits, 64, default, host).map_err(|e| Error::Invalid(format!("{name}: {e}")))?;
        Ok(())
    }
}

/// The value that the characters make of the default's and the host's.
fn merge(bits: &str, width: u32, default: u64, host: u64) -> Result<u64, String> {
    if bits.len() != width as usize {
        return Err(format!("{bits:?} has not {width} bits"));
    }
    let mut value = 0;
    for (character, bit) in bits.chars().zip((0..width).rev()) {
        let source = match character {
            '0' => 0,
            '1' => u64::MAX,
            'x' => default,
            'k' | 's' => host,
            other => return Err(format!("bit {bit}: {other:?} is none of 0, 1, x, k, s")),
        };
        value |= source & 1 << bit;
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PVH: Settings = Settings { restore: false, pae: true, itsc: false, nested_virt: false };

    fn policy(leaves: &[(u32, u32, [u32; 4])]) -> CpuidPolicy {
        CpuidPolicy(leaves.iter().map(|&(leaf, subleaf, registers)| CpuidLeaf { leaf, subleaf, registers }).collect())
    }

    fn vendor(name: &[u8; 12]) -> (u32, u32, [u32; 4]) {
        let part = |at: usize| u32::from_le_bytes(name[at..at + 4].try_into().unwrap());
        (0, NO_SUBLEAF, [0x20, part(0), part(8), part(4)])
    }

    fn applied(leaves: &[(u32, u32, [u32; 4])], container: Container, settings: Settings) -> Vec<[u32; 4]> {
        let host = policy(&[
            (1, NO_SUBLEAF, [0, 0, 1 << 30, 1 << 28]),
            (7, 0, [0, 1 << 4 | 1 << 14, 0, 0]),
            (0x8000_0001, NO_SUBLEAF, [0, 0, 1 << 1, 0]),
        ]);
        let mut policy = policy(leaves);
        policy.apply(&host, container, settings);
        policy.0.iter().map(|l| l.registers).collect()
    }

    #[test]
    fn pv_sees_the_hosts_threads() {
        let leaves = [(1, NO_SUBLEAF, [1, 2, 3, 4]), (0x8000_0001, NO_SUBLEAF, [0; 4])];
        let after = applied(&leaves, Container::Pv, Settings { pae: false, nested_virt: true, ..PVH });
        assert_eq!(after, [[1, 2, 3, 4 | 1 << 28], [0, 0, 2, 0]]);
    }

    #[test]
    fn hvm_on_intel_doubles_apic_ids() {
        let cache = |cores: u32, threads: u32, kind: u32| [cores << 26 | threads << 14 | 7 << 5 | kind, 9, 9, 9];
        let leaves = [
            vendor(b"GenuineIntel"),
            (1, NO_SUBLEAF, [0, 0x12_04_00_00, 0, 0]),
            (4, 0, cache(3, 1, 1)),
            (4, 1, cache(63, 3, 2)),
            (4, 2, cache(5, 5, 0)),
            (4, 3, cache(5, 5, 1)),
        ];
        let after = applied(&leaves, Container::Hvm, Settings { nested_virt: true, ..PVH });
        assert_eq!(after[1], [0, 0x12_08_00_00, 1 << 5, 1 << 28 | 1 << 6]);
        assert_eq!(after[2..], [cache(7, 0, 1), cache(63, 0, 2), cache(5, 5, 0), cache(5, 5, 1)]);
    }

    #[test]
    fn hvm_on_amd_doubles_cores() {
        let sizes = |vendor_name: &[u8; 12], ecx: u32, lppp: u32| {
            let leaves = [
                vendor(vendor_name),
                (1, NO_SUBLEAF, [0, lppp << 16, 0, 0]),
                (0x8000_0008, NO_SUBLEAF, [0, 0, ecx, 0]),
            ];
            let after = applied(&leaves, Container::Hvm, PVH);
            (after[2][2], after[1][1] >> 16)
        };
        assert_eq!(sizes(b"AuthenticAMD", 0x3007, 8), (0x400f, 16));
        assert_eq!(sizes(b"HygonGenuine", 0x0007, 0), (0x000f, 2), "ApicIdCoreSize 0 keeps its meaning");
        assert_eq!(sizes(b"AuthenticAMD", 0x707e, 0x80), (0x70fd, 0x80), "not above 7, not above 255");
        assert_eq!(sizes(b"AuthenticAMD", 0x307f, 0xff), (0x307f, 0xff), "no room for twice as many");
        assert_eq!(sizes(b"GenuineIntel", 0x3007, 8), (0x3007, 16));
    }

    #[test]
    fn invariant_tsc_is_only_on_when_asked_for() {
        let leaves = [(0x8000_0007, NO_SUBLEAF, [0, 0, 0, 0x101])];
        assert_eq!(applied(&leaves, Container::Pv, PVH), [[0, 0, 0, 1]]);
        assert_eq!(applied(&leaves, Container::Pv, Settings { itsc: true, ..PVH }), [[0, 0, 0, 0x101]]);
    }

    #[test]
    fn a_domain_of_xen_4_13_finds_what_it_had() {
        let leaves = [
            (0, NO_SUBLEAF, [0x10, 1, 2, 3]),
            (1, NO_SUBLEAF, [0; 4]),
            (7, 0, [2, 1 << 11, 0, 0]),
            (7, 1, [9; 4]),
            (0x10, 0, [9; 4]),
            (0x4000_0000, NO_SUBLEAF, [9; 4]),
            (0x8000_0000, NO_SUBLEAF, [0x8000_0021, 0, 0, 0]),
            (0x8000_0021, NO_SUBLEAF, [9; 4]),
        ];
        let after = applied(&leaves, Container::Hvm, Settings { restore: true, ..PVH });
        let expected: [[u32; 4]; 5] = [
            [0xd, 1, 2, 3],
            [0, 2 << 16, 1 << 30, 1 << 28 | 1 << 6],
            [0, 1 << 4 | 1 << 14, 0, 0],
            [9; 4],
            [0x8000_001c, 0, 0, 0],
        ];
        assert_eq!(after, expected);
    }

    #[test]
    fn overrides_take_each_bit_from_its_source() {
        let mut current = policy(&[(7, 0, [0xff; 4])]);
        let (default, host) = (policy(&[(7, 0, [0b11_0000, 0, 0, 0])]), policy(&[(7, 0, [0b0101, 0, 0, 0])]));
        let bits = format!("{:0<24}10xxkkss", "1");
        let mut wish = LeafOverride { leaf: 7, subleaf: Some(0), registers: [Some(&bits), None, None, None] };
        wish.apply(&mut current, &default, &host).unwrap();
        assert_eq!(current.0[0].registers, [0x8000_00b5, 0xff, 0xff, 0xff]);

        let refused = |wish: &LeafOverride| wish.apply(&mut current.clone(), &default, &host).unwrap_err().to_string();
        wish.registers = [None, None, Some("01x"), None];
        assert_eq!(refused(&wish), "CPUID leaf 0x7, subleaf 0x0: ecx: \"01x\" has not 32 bits");
        let bad = "x".repeat(31) + "y";
        wish.registers = [None, None, None, Some(&bad)];
        assert_eq!(refused(&wish), "CPUID leaf 0x7, subleaf 0x0: edx: bit 0: 'y' is none of 0, 1, x, k, s");
        wish.subleaf = None;
        assert_eq!(refused(&wish), "CPUID leaf 0x7: this host's policies have no such leaf");
    }

    #[test]
    fn msr_overrides_too() {
        let msrs = |value| MsrPolicy(vec![MsrEntry { index: 0x10a, flags: 0, value }]);
        let mut current = msrs(0);
        let bits = "1".to_owned() + &"0".repeat(61) + "xk";
        let wish = MsrOverride { index: 0x10a, bits: &bits };
        wish.apply(&mut current, &msrs(2), &msrs(1)).unwrap();
        assert_eq!(current, msrs(1 << 63 | 3));
        let missing = MsrOverride { index: 0xce, bits: &bits };
        let error = missing.apply(&mut current, &msrs(0), &msrs(0)).unwrap_err();
        assert_eq!(error.to_string(), "MSR 0xce: this host's policies have no such register");
    }
}
