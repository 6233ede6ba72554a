#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::xl_conf(data));
