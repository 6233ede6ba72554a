#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::stream::domain_context(data));
