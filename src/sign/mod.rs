//! Signatures, each over bytes that are handed in.

pub mod tsig;
