//! Have a project's sources changed?

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;

/// Folders that tools write into, and lock files that they bring up to date.
const TOOLS: [&str; 8] = [
    "target",
    "node_modules",
    "__pycache__",
    "bindings",
    "Cargo.lock",
    "package-lock.json",
    "go.sum",
    "componentize-py.toml",
];
/// Files of a project that are looked at; more than any has by hand.
const MOST: usize = 20_000;

/// The names, sizes and times of all sources.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint(u64);

impl Fingerprint {
    /// Hidden files, components and what tools make are no sources.
    pub fn of(dir: &Path) -> Self {
        let mut hasher = DefaultHasher::new();
        let mut left = MOST;
        add(dir, &mut hasher, &mut left);
        Self(hasher.finish())
    }
}

fn add(dir: &Path, hasher: &mut DefaultHasher, left: &mut usize) {
    let Ok(entries) = std::fs::read_dir(dir) else { return };
    let mut entries: Vec<_> = entries.filter_map(Result::ok).collect();
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let (name, path) = (entry.file_name(), entry.path());
        let text = name.to_string_lossy();
        let is_source = !text.starts_with('.')
            && !TOOLS.contains(&&*text)
            && !path.extension().is_some_and(|extension| extension == "wasm" || extension == "tmp");
        if !is_source || *left == 0 {
            continue;
        }
        *left -= 1;
        let Ok(kind) = entry.file_type() else { continue };
        if kind.is_dir() {
            add(&path, hasher, left);
        } else if let Ok(metadata) = std::fs::metadata(&path) {
            (path, metadata.len(), metadata.modified().ok()).hash(hasher);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_sources_count() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("src/lib.rs", "1");
        let before = Fingerprint::of(dir.path());
        for made in ["target/x", ".git/x", "x.wasm", "x.wasm.tmp", "node_modules/a/b.js", "Cargo.lock"] {
            write(made, "x");
            assert_eq!(Fingerprint::of(dir.path()), before, "{made}");
        }
        write("src/lib.rs", "12");
        let after = Fingerprint::of(dir.path());
        assert_ne!(after, before);
        write("README.md", "");
        assert_ne!(Fingerprint::of(dir.path()), after);
    }
}
