#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::values(&["cpus", "cpus_soft", "vcpus", "maxvcpus", "vnuma"], data));
