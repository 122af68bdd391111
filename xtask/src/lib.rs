//! Porchlight's development tasks, as a library: `main.rs` reads the arguments, each module is a task,
//! and [`lab`] is the ground on which they stand.

pub mod bench;
pub mod build;
pub mod demo;
pub mod emulated;
pub mod lab;
pub mod machine;
pub mod package;
pub mod peers;
pub mod readme;
pub mod rules;
pub mod test;
