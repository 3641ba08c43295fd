//! Lines in the server's log, marked with the plugin's name and version.
//!
//! A line longer than 1,024 bytes is cut. Past 200 lines a second of one instance the
//! rest of that second is only counted.

use std::fmt;

pub use crate::bindings::tidegate::plugin::log::Level;

/// What the macros call. On other targets than wasm the line goes to stderr.
pub fn write(level: Level, text: fmt::Arguments<'_>) {
    match text.as_str() {
        Some(text) => send(level, text),
        None => send(level, &text.to_string()),
    }
}

#[cfg(target_arch = "wasm32")]
fn send(level: Level, text: &str) {
    crate::bindings::tidegate::plugin::log::write(level, text);
}

#[cfg(not(target_arch = "wasm32"))]
fn send(level: Level, text: &str) {
    eprintln!("{level:?} {text}");
}

/// Logs a line at level trace; arguments as in `format!`.
#[macro_export]
macro_rules! trace {
    ($($text:tt)+) => { $crate::log::write($crate::log::Level::Trace, ::std::format_args!($($text)+)) };
}

/// Logs a line at level debug; arguments as in `format!`.
#[macro_export]
macro_rules! debug {
    ($($text:tt)+) => { $crate::log::write($crate::log::Level::Debug, ::std::format_args!($($text)+)) };
}

/// Logs a line at level info; arguments as in `format!`.
#[macro_export]
macro_rules! info {
    ($($text:tt)+) => { $crate::log::write($crate::log::Level::Info, ::std::format_args!($($text)+)) };
}

/// Logs a line at level warn; arguments as in `format!`.
#[macro_export]
macro_rules! warn {
    ($($text:tt)+) => { $crate::log::write($crate::log::Level::Warn, ::std::format_args!($($text)+)) };
}

/// Logs a line at level error; arguments as in `format!`.
#[macro_export]
macro_rules! error {
    ($($text:tt)+) => { $crate::log::write($crate::log::Level::Error, ::std::format_args!($($text)+)) };
}
