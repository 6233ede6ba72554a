//! The Viridian (Hyper-V) interfaces of an HVM guest (`hvm_set_viridian_features`).

use crate::types::{Bitmap, HvmInfo, ViridianEnlightenment};
use crate::{Error, Result};

use ViridianEnlightenment as Group;

/// What `viridian=1` offers.
const DEFAULT: [Group; 7] = [
    Group::Base,
    Group::Freq,
    Group::TimeRefCount,
    Group::ApicAssist,
    Group::CrashCtl,
    Group::NoVpLimit,
    Group::CpuHotplug,
];

/// The value of `HVM_PARAM_VIRIDIAN`; 0 is none.
///
/// Bits are numbered as the groups are, except that Xen has bit 1 for "no frequency MSRs".
///
/// # Errors
/// `Invalid` for a group that is both on and off, and for groups without the base.
pub fn mask(hvm: &HvmInfo) -> Result<u64> {
    let groups = groups(hvm)?;
    let has = |group: Group| groups.contains(group.number() as u32);
    if groups.is_empty() {
        return Ok(0);
    }
    if !has(Group::Base) {
        return Err(Error::invalid("viridian: all groups need the group \"base\""));
    }
    let bit = |group: Group| 1u64 << group.number();
    let others = Group::ALL.iter().copied().filter(|group| has(*group) && *group != Group::Freq);
    let mut mask: u64 = others.map(bit).sum();
    if !has(Group::Freq) {
        mask |= bit(Group::Freq);
    }
    if has(Group::Stimer) {
        // Synthetic timers are told by synthetic interrupts, and count by the reference counter.
        mask |= bit(Group::TimeRefCount) | bit(Group::Synic);
    }
    Ok(mask)
}

fn groups(hvm: &HvmInfo) -> Result<Bitmap> {
    let mut groups = Bitmap::new();
    if hvm.viridian.is_true() {
        groups.extend(DEFAULT.map(|group| group.number() as u32));
    }
    for group in Group::ALL {
        let number = group.number() as u32;
        match (hvm.viridian_enable.contains(number), hvm.viridian_disable.contains(number)) {
            (true, true) => return Err(Error::invalid(format!("viridian: \"{group}\" is both on and off"))),
            (true, false) => groups.insert(number),
            (false, true) => groups.remove(number),
            (false, false) => {}
        }
    }
    Ok(groups)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::DefBool;

    fn guest(default: bool, on: &[Group], off: &[Group]) -> HvmInfo {
        let numbers = |groups: &[Group]| groups.iter().map(|group| group.number() as u32).collect();
        HvmInfo {
            viridian: DefBool::from(default),
            viridian_enable: numbers(on),
            viridian_disable: numbers(off),
            ..Default::default()
        }
    }

    #[test]
    fn masks_are_the_hypervisors() {
        assert_eq!(mask(&guest(false, &[], &[])).unwrap(), 0);
        // base_freq, time_ref_count, apic_assist, crash_ctl, no_vp_limit, cpu_hotplug
        assert_eq!(mask(&guest(true, &[], &[])).unwrap(), 0b1_1000_0110_0101);
        // base_freq, no_freq, synic, stimer, time_ref_count
        assert_eq!(mask(&guest(false, &[Group::Base, Group::Stimer], &[])).unwrap(), 0b1_1000_0111);
    }

    #[test]
    fn contradictions_are_refused() {
        assert!(mask(&guest(true, &[], &[Group::Base])).unwrap_err().to_string().contains("base"));
        let error = mask(&guest(true, &[Group::Synic], &[Group::Synic])).unwrap_err().to_string();
        assert_eq!(error, "viridian: \"synic\" is both on and off");
    }
}
