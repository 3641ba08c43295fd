//! The ways in which editors, compilers and people put a file in its place.

use std::io::Write;
use std::path::Path;
use std::time::Duration;

/// Whole, under its name at once: what careful programs do.
pub fn by_rename(path: &Path, bytes: &[u8]) {
    let aside = path.with_extension("aside");
    std::fs::write(&aside, bytes).unwrap();
    std::fs::rename(aside, path).unwrap();
}

/// Emptied and written again, as `cp` does.
pub fn in_place(path: &Path, bytes: &[u8]) {
    std::fs::write(path, bytes).unwrap();
}

/// In 20 pieces over some 600 ms, as over a slow line. The pauses are the scenario itself.
pub async fn slowly(path: &Path, bytes: &[u8]) {
    let mut file = std::fs::File::create(path).unwrap();
    let mut pace = tokio::time::interval(Duration::from_millis(30));
    for piece in bytes.chunks(bytes.len().div_ceil(20)) {
        pace.tick().await;
        file.write_all(piece).unwrap();
        file.flush().unwrap();
    }
}
