//! Takes away what is open: at the end, and what an earlier run left.

use super::Agent;
use crate::config::BackendChoice;
use crate::map::Set;
use crate::mapping::backend::{STOP_DEADLINE, UNMAP_DEADLINE};
use crate::plan;

impl Agent {
    /// Takes away a table that a run left which was killed, if nothing is known of it and nothing is to be mapped.
    pub(super) async fn close_stray(&mut self) {
        if !plan::mapping::is_stray(&self.config, &self.world, &self.state) {
            return;
        }
        match self.backend.lock().await.remove_any(UNMAP_DEADLINE).await {
            Ok(Some(cut)) => {
                self.warn(&format_args!("an earlier run had left port mappings open: closed, {cut}"))
            }
            Ok(None) => {}
            // Without nft, or without the right to use it, there is no table either.
            Err(why) => self.debug(&format_args!(
                "whether an earlier run left port mappings open could not be told: {why}"
            )),
        }
    }

    /// A clean end: the mapping goes, unless the owner wants it to stay.
    pub(super) async fn end(&mut self) {
        self.save();
        let _ = std::fs::remove_file(&self.paths.socket);
        // A change or a look that is under way may wait for the firewall for longer than we are given to end.
        (self.changing_filter, self.checking_filter) = (None, None);
        self.tunnels.reconfigured(&[], &self.http);
        self.leave_above().await;
        let open = plan::mapping::may_be_open(&self.config, &self.world, &self.state);
        // What is written in the firewall's configuration stays there, so that a restart does not wear the flash.
        let written = self.config.global.backend == BackendChoice::Uci;
        if open && written {
            self.info(
                &"stopped; the port mappings stay in /etc/config/firewall (porchlight unmap closes them)",
            );
        } else if open && !self.config.global.keep_on_stop {
            let mut backend = self.backend.lock().await;
            let removed = backend.remove(STOP_DEADLINE).await;
            let hits = backend.hits().clone();
            drop(backend);
            self.count(&hits);
            match removed {
                Ok(cut) => {
                    self.state.mapping.targets = Set::new();
                    self.info(&format_args!("stopped; the port mappings are closed, {cut}"));
                }
                Err(why) => {
                    self.error(&format_args!("stopped, but the port mappings may still be open: {why}"));
                }
            }
        } else {
            self.info(&"stopped");
        }
        self.save();
    }
}
