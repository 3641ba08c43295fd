//! The page at `/`: a small live playground that speaks the native protocol.

pub const PAGE: &str = include_str!("console.html");
