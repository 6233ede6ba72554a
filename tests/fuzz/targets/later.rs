#![no_main]

const KEYS: &[&str] = &[
    "smbios",
    "xenstore_quota",
    "virtio",
    "llc_colors",
    "arm_sci",
    "sve",
    "altp2m_count",
    "xenstore_feature_mask",
];

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::values(KEYS, data));
