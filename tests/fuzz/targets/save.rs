#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::stream::save_from_memory(data));
