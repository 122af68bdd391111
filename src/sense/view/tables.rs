//! What the kernel can be asked to tell in full, and a set of that: the tables of links, addresses and routes.

use crate::model::Family;

/// Something that the kernel can be asked to tell in full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    /// Devices.
    Links,
    /// Addresses of both families.
    Addrs,
    /// Routes of one family.
    Routes(Family),
}

/// A set of [`Table`]s.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tables(u8);

impl Tables {
    /// All, in the order in which they are to be asked for.
    pub(super) const ORDER: [Table; 4] =
        [Table::Links, Table::Addrs, Table::Routes(Family::V4), Table::Routes(Family::V6)];
    /// Every one.
    pub const ALL: Tables = Tables(0xf);
    /// The routes of both families.
    pub(super) const ALL_ROUTES: Tables = Tables(4 | 8);

    fn bit(table: Table) -> u8 {
        match table {
            Table::Links => 1,
            Table::Addrs => 2,
            Table::Routes(Family::V4) => 4,
            Table::Routes(Family::V6) => 8,
        }
    }

    /// Adds one.
    pub fn add(&mut self, table: Table) {
        self.0 |= Self::bit(table);
    }

    /// Adds all of another set.
    pub fn merge(&mut self, other: Tables) {
        self.0 |= other.0;
    }

    /// Takes out the one that is to be asked for first.
    pub fn take_first(&mut self) -> Option<Table> {
        let first = Self::ORDER.into_iter().find(|table| self.contains(*table))?;
        self.0 &= !Self::bit(first);
        Some(first)
    }

    /// Whether it is in.
    pub fn contains(self, table: Table) -> bool {
        self.0 & Self::bit(table) != 0
    }

    /// Whether none is in.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}
