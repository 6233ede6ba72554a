//! Names of CPU features (Xen's `public/arch-x86/cpufeatureset.h`, in lower case with `-` for `_`).

/// Name and number of each feature, sorted by name: word times 32 plus bit.
#[rustfmt::skip]
pub(crate) const FEATURES: &[(&str, u16)] = &[
    ("3dnow", 95), ("3dnowext", 94), ("3dnowprefetch", 104), ("abm", 101), ("acpi", 22), ("adx", 179),
    ("aesni", 57), ("amd-ppin", 279), ("amd-ssbd", 280), ("amd-stibp", 271), ("apic", 9), ("arch-caps", 317),
    ("auto-ibrs", 360), ("avx", 60), ("avx-vnni", 324), ("avx2", 165), ("avx512-4fmaps", 291),
    ("avx512-4vnniw", 290), ("avx512-bf16", 325), ("avx512-bitalg", 204), ("avx512-fp16", 311),
    ("avx512-ifma", 181), ("avx512-vbmi", 193), ("avx512-vbmi2", 198), ("avx512-vnni", 203),
    ("avx512-vp2intersect", 296), ("avx512-vpopcntdq", 206), ("avx512bw", 190), ("avx512cd", 188),
    ("avx512dq", 177), ("avx512er", 187), ("avx512f", 176), ("avx512pf", 186), ("avx512vl", 191), ("bhi-ctrl", 420),
    ("bhi-no", 532), ("bmi1", 163), ("bmi2", 168), ("btc-no", 285), ("cet-ibt", 308), ("cet-ss", 199),
    ("cet-sss", 498), ("cldemote", 217), ("clflush", 19), ("clflushopt", 183), ("clwb", 184), ("clzero", 256),
    ("cmov", 15), ("cmp-legacy", 97), ("core-caps", 318), ("cpb", 233), ("cr8-legacy", 100), ("cx16", 45),
    ("cx8", 8), ("dbext", 122), ("dca", 50), ("de", 2), ("doitm", 524), ("ds", 21), ("dscpl", 36), ("dtes64", 34),
    ("efro", 234), ("eibrs", 513), ("eist", 39), ("energy-filtering", 523), ("enqcmd", 221), ("erms", 169),
    ("extapic", 99), ("f16c", 61), ("fb-clear", 529), ("fb-clear-ctrl", 530), ("fbsdp-no", 526),
    ("fdp-excp-only", 166), ("ffxsr", 89), ("fma", 44), ("fma4", 112), ("fpu", 0), ("fsgsbase", 160),
    ("fsrcs", 332), ("fsrm", 292), ("fsrs", 331), ("fxsr", 24), ("fzrm", 330), ("gds-ctrl", 537), ("gds-no", 538),
    ("gfni", 200), ("hle", 164), ("htt", 28), ("hw-pstate", 231), ("hybrid", 303), ("hypervisor", 63),
    ("ibpb", 268), ("ibpb-brtype", 380), ("ibpb-ret", 286), ("ibrs", 270), ("ibrs-always", 272), ("ibrs-fast", 274),
    ("ibrs-same-mode", 275), ("ibrsb", 314), ("ibs", 106), ("if-pschange-mc-no", 518), ("intel-ppin", 384),
    ("intel-psfd", 416), ("intel-ssb-no", 516), ("invpcid", 170), ("ipred-ctrl", 417), ("its-no", 574),
    ("itsc", 232), ("l1d-flush", 316), ("lahf-lm", 96), ("lfence-dispatch", 354), ("lm", 93), ("lwp", 111),
    ("mca", 14), ("mcdt-no", 421), ("mce", 7), ("mcu-ctrl", 521), ("md-clear", 298), ("mds-no", 517),
    ("misalignsse", 103), ("misc-pkg-ctrl", 522), ("mmx", 23), ("mmxext", 86), ("monitor", 35), ("monitorx", 125),
    ("movbe", 54), ("movdir64b", 220), ("movdiri", 219), ("mpx", 174), ("msr", 5), ("mtrr", 12),
    ("no-fpu-sel", 173), ("no-lmsl", 276), ("nodeid-msr", 115), ("nscb", 358), ("nx", 84), ("ospke", 196),
    ("osvw", 105), ("osxsave", 59), ("ovrclk-status", 535), ("pae", 6), ("page1gb", 90), ("pat", 16), ("pbe", 31),
    ("pbrsb-no", 536), ("pcid", 49), ("pclmulqdq", 33), ("pdcm", 47), ("pge", 13), ("pku", 195), ("popcnt", 55),
    ("pqe", 175), ("pqm", 172), ("prefetchwt1", 192), ("proc-trace", 185), ("psdp-no", 527), ("pse", 3),
    ("pse36", 17), ("psfd", 284), ("rdcl-no", 512), ("rdpid", 214), ("rdrand", 62), ("rdseed", 178), ("rdtscp", 91),
    ("rfds-clear", 540), ("rfds-no", 539), ("rrsba", 531), ("rrsba-ctrl", 418), ("rsba", 514),
    ("rstr-fp-err-ptrs", 258), ("rtm", 171), ("rtm-always-abort", 299), ("sbdr-ssdp-no", 525), ("sbpb", 379),
    ("sep", 11), ("serialize", 302), ("sgx", 162), ("sha", 189), ("skinit", 108), ("skip-l1dfl", 515),
    ("smap", 180), ("smep", 167), ("smx", 38), ("srbds-ctrl", 297), ("srso-msr-fix", 383), ("srso-no", 381),
    ("srso-us-no", 382), ("ss", 27), ("ssb-no", 282), ("ssbd", 319), ("sse", 25), ("sse2", 26), ("sse3", 32),
    ("sse4-1", 51), ("sse4-2", 52), ("sse4a", 102), ("ssse3", 41), ("stibp", 315), ("stibp-always", 273),
    ("svm", 98), ("syscall", 75), ("taa-no", 520), ("tbm", 117), ("tm1", 29), ("tm2", 40), ("topoext", 118),
    ("tsa-l1-no", 578), ("tsa-sq-no", 577), ("tsc", 4), ("tsc-adjust", 161), ("tsc-deadline", 56),
    ("tsx-ctrl", 519), ("tsx-force-abort", 301), ("tsxldtrk", 304), ("umip", 194), ("vaes", 201),
    ("verw-clear", 357), ("virt-ssbd", 281), ("vme", 1), ("vmx", 37), ("vpclmulqdq", 202), ("wbnoinvd", 265),
    ("wdt", 109), ("x2apic", 53), ("xapic-status", 533), ("xgetbv1", 130), ("xop", 107), ("xsave", 58),
    ("xsavec", 129), ("xsaveopt", 128), ("xsaves", 131), ("xtpr", 46),
];

/// Where a word of features stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Word {
    /// In a CPUID leaf and sub-leaf, in a register: 0 is EAX, 3 is EDX.
    Cpuid(u32, Option<u32>, usize),
    /// In an MSR, from this bit on.
    Msr(u32, usize),
}

/// Where each word of features stands.
pub(crate) const WORDS: &[Word] = &[
    Word::Cpuid(0x0000_0001, None, 3),
    Word::Cpuid(0x0000_0001, None, 2),
    Word::Cpuid(0x8000_0001, None, 3),
    Word::Cpuid(0x8000_0001, None, 2),
    Word::Cpuid(0x0000_000d, Some(1), 0),
    Word::Cpuid(0x0000_0007, Some(0), 1),
    Word::Cpuid(0x0000_0007, Some(0), 2),
    Word::Cpuid(0x8000_0007, None, 3),
    Word::Cpuid(0x8000_0008, None, 1),
    Word::Cpuid(0x0000_0007, Some(0), 3),
    Word::Cpuid(0x0000_0007, Some(1), 0),
    Word::Cpuid(0x8000_0021, None, 0),
    Word::Cpuid(0x0000_0007, Some(1), 1),
    Word::Cpuid(0x0000_0007, Some(2), 3),
    Word::Cpuid(0x0000_0007, Some(1), 2),
    Word::Cpuid(0x0000_0007, Some(1), 3),
    Word::Msr(0x10a, 0),
    Word::Msr(0x10a, 32),
    Word::Cpuid(0x8000_0021, None, 2),
];

/// A field of a CPUID register that has a name of its own: from xend's days, and those wider than a bit.
pub(crate) struct Field {
    /// The name.
    pub(crate) name: &'static str,
    /// The leaf.
    pub(crate) leaf: u32,
    /// The sub-leaf.
    pub(crate) subleaf: Option<u32>,
    /// The register: 0 is EAX.
    pub(crate) register: usize,
    /// The lowest bit.
    pub(crate) bit: usize,
    /// How many bits.
    pub(crate) width: usize,
}

impl Field {
    /// The largest number that it holds.
    pub(crate) fn largest(&self) -> i128 {
        // The base family of 15 and all that is added to it.
        if self.name == "family" { 15 + 255 } else { (1 << self.width) - 1 }
    }
}

const fn field(
    name: &'static str,
    leaf: u32,
    subleaf: Option<u32>,
    register: usize,
    bit: usize,
    width: usize,
) -> Field {
    Field { name, leaf, subleaf, register, bit, width }
}

const EAX: usize = 0;
const EBX: usize = 1;
const ECX: usize = 2;
const EDX: usize = 3;

/// Every such field. They go before [`FEATURES`].
#[rustfmt::skip]
pub(crate) const FIELDS: &[Field] = &[
    field("maxleaf", 0x0000_0000, None, EAX, 0, 32),
    field("stepping", 0x0000_0001, None, EAX, 0, 4),
    field("model", 0x0000_0001, None, EAX, 4, 8),
    field("family", 0x0000_0001, None, EAX, 8, 8),
    field("brandid", 0x0000_0001, None, EBX, 0, 8),
    field("clflush", 0x0000_0001, None, EBX, 8, 8),
    field("proccount", 0x0000_0001, None, EBX, 16, 8),
    field("localapicid", 0x0000_0001, None, EBX, 24, 8),
    field("est", 0x0000_0001, None, ECX, 7, 1),
    field("cntxid", 0x0000_0001, None, ECX, 10, 1),
    field("cmpxchg16", 0x0000_0001, None, ECX, 13, 1),
    field("sse4_1", 0x0000_0001, None, ECX, 19, 1),
    field("sse4.1", 0x0000_0001, None, ECX, 19, 1),
    field("sse4_2", 0x0000_0001, None, ECX, 20, 1),
    field("sse4.2", 0x0000_0001, None, ECX, 20, 1),
    field("aes", 0x0000_0001, None, ECX, 25, 1),
    field("cmpxchg8", 0x0000_0001, None, EDX, 8, 1),
    field("sysenter", 0x0000_0001, None, EDX, 11, 1),
    field("psn", 0x0000_0001, None, EDX, 18, 1),
    field("clfsh", 0x0000_0001, None, EDX, 19, 1),
    field("tm", 0x0000_0001, None, EDX, 29, 1),
    field("ia64", 0x0000_0001, None, EDX, 30, 1),
    field("pbe", 0x0000_0001, None, EDX, 31, 1),
    field("arat", 0x0000_0006, None, EAX, 2, 1),
    field("tsc_adjust", 0x0000_0007, Some(0), EBX, 1, 1),
    field("cmt", 0x0000_0007, Some(0), EBX, 12, 1),
    field("lahfsahf", 0x8000_0001, None, ECX, 0, 1),
    field("cmplegacy", 0x8000_0001, None, ECX, 1, 1),
    field("altmovcr8", 0x8000_0001, None, ECX, 4, 1),
    field("nodeid", 0x8000_0001, None, ECX, 19, 1),
    field("perfctr_core", 0x8000_0001, None, ECX, 23, 1),
    field("perfctr_nb", 0x8000_0001, None, ECX, 24, 1),
    field("procpkg", 0x0000_0004, Some(0), EAX, 26, 6),
    field("invtsc", 0x8000_0007, None, EDX, 8, 1),
    field("ppin", 0x8000_0008, None, EBX, 23, 1),
    field("btc-no", 0x8000_0008, None, EBX, 29, 1),
    field("nc", 0x8000_0008, None, ECX, 0, 8),
    field("apicidsize", 0x8000_0008, None, ECX, 12, 4),
    field("svm_npt", 0x8000_000a, None, EDX, 0, 1),
    field("svm_lbrv", 0x8000_000a, None, EDX, 1, 1),
    field("svm_nrips", 0x8000_000a, None, EDX, 3, 1),
    field("svm_tscrate", 0x8000_000a, None, EDX, 4, 1),
    field("svm_vmcbclean", 0x8000_000a, None, EDX, 5, 1),
    field("svm_decode", 0x8000_000a, None, EDX, 7, 1),
    field("svm_pausefilt", 0x8000_000a, None, EDX, 10, 1),
    field("lfence+", 0x8000_0021, None, EAX, 2, 1),
    field("maxhvleaf", 0x4000_0000, None, EAX, 0, 8),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_are_sorted_and_in_a_known_word() {
        assert!(FEATURES.is_sorted_by(|a, b| a.0 < b.0));
        assert!(FEATURES.iter().all(|(_, number)| usize::from(*number) / 32 < WORDS.len()));
        assert_eq!(FEATURES.binary_search_by_key(&"avx2", |f| f.0).map(|i| FEATURES[i].1), Ok(5 * 32 + 5));
    }

    #[test]
    fn fields_are_within_their_register() {
        assert!(FIELDS.iter().all(|f| f.width > 0 && f.bit + f.width <= 32 && f.register < 4));
    }
}
