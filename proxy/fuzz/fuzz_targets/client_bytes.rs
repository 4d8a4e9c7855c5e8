//! Any bytes, taken for what a client sends:
//! `cargo +nightly fuzz run client_bytes corpus/client_bytes seeds/client_bytes`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| codis_proxy::fuzzing::client_bytes(bytes));
