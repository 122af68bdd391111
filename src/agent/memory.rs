//! Keeps what is to be known after a restart: the state file, and what is on flash.

use super::Agent;
use crate::config::Config;
use crate::paths::Paths;
use crate::plan::{publish, refresh};
use crate::state::{self, State};

impl Agent {
    /// Writes the state file, if it would say something else.
    pub(super) fn save(&mut self) {
        let text = self.state.to_text(&self.boot_id);
        if text != self.saved {
            match state::save(&self.paths.state, &text) {
                Ok(()) => (self.saved, self.unsaved) = (text, false),
                Err(why) if self.unsaved => self.debug(&why),
                Err(why) => {
                    self.warn(&format_args!("{why}; after a restart what is published is asked anew"));
                    self.unsaved = true;
                }
            }
        }
    }

    /// Writes the file on flash, if what it says is too old.
    pub(super) fn keep(&mut self) {
        if !refresh::is_owed(&self.config, &self.state, &self.kept) {
            return;
        }
        let text = self.state.to_kept_text();
        if let Err(why) = state::save_kept(&self.paths.kept, &text) {
            self.warn(&format_args!(
                "{why}; after a restart it is not known when records were sent that expire"
            ));
        }
        // Not tried again before it is owed once more: what cannot be written now could not be for long.
        self.kept = State::from_text(&text, "").unwrap_or_default();
    }
}

/// The memory with what the file on flash adds to it, and what that file says.
pub(super) fn recalled(mut state: State, paths: &Paths, config: &Config) -> (State, State) {
    let kept = state::load_kept(&paths.kept).unwrap_or_else(|why| {
        log::warn!("{why}; the days until a record is sent once more count anew");
        State::default()
    });
    state.recall(&kept, &publish::all_ids(&config.records));
    (state, kept)
}
