//! Any bytes, scanned as a reply: `cargo +nightly fuzz run resp_reply`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| codis_core::fuzzing::resp_reply(bytes));
