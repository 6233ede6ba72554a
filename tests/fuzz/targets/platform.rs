#![no_main]

const KEYS: &[&str] =
    &["viridian", "mca_caps", "altp2m", "tsc_mode", "timer_mode", "serial", "bootloader_args", "firmware", "memory"];

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::values(KEYS, data));
