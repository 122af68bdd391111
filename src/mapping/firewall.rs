//! `/etc/config/firewall`: our redirects in it, each a named section, `config redirect 'porchlight_<id>'`
//! ([`Redirect::id`]: the mapping's name, and a number where a mapping needs several), or a `config rule` so called with
//! our label ([`Redirect::kind`]).    [pure]

use super::redirect::{Redirect, LABEL, REDIRECT, RULE};
use crate::config::edit::{self, Ours, Setting, Wanted};
use crate::config::uci::Section;

pub use crate::config::edit::{mentions_ours, sections, FILE_CAP};

/// Where it lies, below the root.
pub const PATH: &str = "etc/config/firewall";
/// Its name among the configurations.
pub(super) const PACKAGE: &str = "firewall";

/// The text with exactly these redirects of ours in it; see [`Ours::edit`].
///
/// # Errors
/// As [`Ours::edit`].
pub fn edit(text: &[u8], redirects: &[Redirect]) -> Result<Option<Vec<u8>>, String> {
    edit_beside(text, redirects, &[])
}

/// As [`edit`], but leaves those of ours alone that have one of these labels and are not among the redirects.
///
/// # Errors
/// As [`Ours::edit`].
pub fn edit_beside(
    text: &[u8],
    redirects: &[Redirect],
    labels: &[String],
) -> Result<Option<Vec<u8>>, String> {
    let ours =
        Ours { package: PACKAGE, is_ours: &is_of_kind, stays: &|section| is_labelled(section, labels) };
    ours.edit(text, redirects.iter().map(wanted).collect())
}

fn wanted(redirect: &Redirect) -> Wanted {
    let options = redirect.options().into_iter().map(|(name, value)| Setting::option(name, value));
    Wanted { kind: redirect.kind(), id: redirect.id.clone(), options: options.collect() }
}

/// Whether a section is one of ours.
pub fn is_ours(section: &Section) -> bool {
    is_of_kind(section) && edit::has_our_name(section)
}

/// A rule of ours has our label; one that has only such a name may be somebody else's.
fn is_of_kind(section: &Section) -> bool {
    let label = || section.option("name").and_then(|option| option.values.first());
    let labelled = || label().is_some_and(|label| label.starts_with(LABEL));
    section.kind == REDIRECT || section.kind == RULE && labelled()
}

/// Whether a section has one of these labels.
pub fn is_labelled(section: &Section, labels: &[String]) -> bool {
    let name = section.option("name").and_then(|option| option.values.first());
    name.is_some_and(|name| labels.contains(name))
}
