//! Port mappings: how [`crate::plan::Rule`]s reach the packet filter.

pub mod conntrack;
pub mod nft;
