//! Plugins replaced while the server runs.
