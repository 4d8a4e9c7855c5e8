//! Any bytes, scanned as a request: `cargo +nightly fuzz run resp_request`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| codis_core::fuzzing::resp_request(bytes));
