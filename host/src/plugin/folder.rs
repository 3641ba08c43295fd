//! What lies in the plugin folder: `*.wasm` in it and in its direct subfolders. Pure
//! observation; what it means is the host's business.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::limits::FILE_BYTES;
use super::loader::LoadError;
use crate::core::PluginName;

/// Behind the name of the plugin that it is to shadow.
const SHADOW: &str = ".shadow";

/// A file's outside: while this stays the same nobody writes to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    pub bytes: u64,
    pub modified: SystemTime,
}

/// One candidate. `Err`: it will not be loaded under this name or from there.
pub struct Found {
    pub path: PathBuf,
    pub stamp: Stamp,
    pub name: Result<PluginName, LoadError>,
    /// It is `NAME.shadow.wasm`: to be called beside the plugin, and not in its place.
    pub is_shadow: bool,
}

/// All candidates in the order of their paths; of two with one name the first is the plugin.
pub fn scan(dir: &Path) -> Vec<Found> {
    let mut paths = Vec::new();
    for path in entries(dir) {
        if path.is_dir() {
            paths.extend(entries(&path).into_iter().filter(|path| is_candidate(path)));
        } else if is_candidate(&path) {
            paths.push(path);
        }
    }
    paths.sort();
    let root = dir.canonicalize().unwrap_or_else(|_| dir.to_owned());
    let mut taken: BTreeMap<(PluginName, bool), PathBuf> = BTreeMap::new();
    paths
        .into_iter()
        .filter_map(|path| {
            let stamp = stamp(&path)?;
            let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
            let (stem, is_shadow) = match stem.strip_suffix(SHADOW) {
                Some(of) => (of, true),
                None => (stem.as_str(), false),
            };
            let name = name_of(&path, stem, &root);
            let name = name.and_then(|name| match taken.get(&(name.clone(), is_shadow)) {
                Some(first) => Err(LoadError::SameName(first.clone())),
                None => {
                    taken.insert((name.clone(), is_shadow), path.clone());
                    Ok(name)
                }
            });
            Some(Found { path, stamp, name, is_shadow })
        })
        .collect()
}

/// None: there is no such file now.
pub fn stamp(path: &Path) -> Option<Stamp> {
    let metadata = fs::metadata(path).ok()?;
    Some(Stamp { bytes: metadata.len(), modified: metadata.modified().ok()? })
}

fn entries(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    let hidden = |path: &PathBuf| path.file_name().is_some_and(|name| name.as_encoded_bytes()[0] == b'.');
    entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| !hidden(path)).collect()
}

fn is_candidate(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "wasm") && is_file(path)
}

/// A pipe would be waited for. What cannot be looked at is left to the reader to complain of.
fn is_file(path: &Path) -> bool {
    fs::metadata(path).map_or(true, |metadata| metadata.is_file())
}

/// The whole file, or a little more than may be used of it.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(FILE_BYTES + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn name_of(path: &Path, stem: &str, root: &Path) -> Result<PluginName, LoadError> {
    // The file or its folder may be the link.
    if path.canonicalize().is_ok_and(|target| !target.starts_with(root)) {
        return Err(LoadError::LinkOutside);
    }
    PluginName::parse(stem).ok_or_else(|| LoadError::BadName(stem.to_owned()))
}
