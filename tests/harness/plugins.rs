//! Where the built plugins lie, by name.

use std::path::{Path, PathBuf};

/// The repository's root.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// An example or a fixture.
pub fn path(name: &str) -> PathBuf {
    let places = [root().join("plugins/examples"), root().join("tests/fixtures")];
    let found = places.iter().find_map(|place| path_in(place, name));
    found.unwrap_or_else(|| panic!("no plugin {name}.wasm: run scripts/build-plugins"))
}

/// `NAME.wasm` in a folder, or in its subfolder NAME.
pub fn path_in(folder: &Path, name: &str) -> Option<PathBuf> {
    let file = format!("{name}.wasm");
    [folder.join(&file), folder.join(name).join(&file)].into_iter().find(|path| path.is_file())
}

pub fn bytes(name: &str) -> Vec<u8> {
    std::fs::read(path(name)).unwrap()
}
