//! Secrets that do not print, and the redactor that keeps them out of every outgoing text.
