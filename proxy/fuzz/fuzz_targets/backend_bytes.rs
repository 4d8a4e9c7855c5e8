//! Any bytes, taken for what backends answer:
//! `cargo +nightly fuzz run backend_bytes corpus/backend_bytes seeds/backend_bytes`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| codis_proxy::fuzzing::backend_bytes(bytes));
