//! A world in a folder of WIT, for modules that do not say theirs.

use std::path::Path;

use anyhow::{Context, Result};
use wit_component::{StringEncoding, embed_component_metadata};
use wit_parser::{Resolve, WorldId};

/// # Errors
/// The WIT cannot be read, or has no such world.
pub fn read(wit: &Path, world: &str) -> Result<(Resolve, WorldId)> {
    let mut resolve = Resolve::default();
    let (package, _) =
        resolve.push_dir(wit).with_context(|| format!("cannot read the WIT in {}", wit.display()))?;
    let world = resolve.select_world(&[package], Some(world))?;
    Ok((resolve, world))
}

/// Writes the world into a core module, as wit-bindgen does for languages with an object file.
///
/// # Errors
/// Those of [`read`]; it is no module.
pub fn embed(module: &mut Vec<u8>, wit: &Path, world: &str) -> Result<()> {
    let (resolve, world) = read(wit, world)?;
    embed_component_metadata(module, &resolve, world, StringEncoding::UTF8)
}
