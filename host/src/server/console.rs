//! The page at `/`: a small live playground that speaks the native protocol.

pub const PAGE: &str = include_str!("console.html");
/// The client library that the page loads: `npm run console` in `clients/js` puts it here.
pub const CLIENT: &str = include_str!("console/tidegate.js");
