//! A module for a world read from a folder: the right exports and imports, no logic.

use std::path::Path;

use anyhow::Result;
use wit_component::{StringEncoding, dummy_module, embed_component_metadata};
use wit_parser::{LiftLowerAbi, ManglingAndAbi};

/// `world` is a name in the package in `wit`; its dependencies are in `wit/deps`.
pub fn module(wit: &Path, world: &str) -> Result<Vec<u8>> {
    let (resolve, world) = tidegate_componentize::world::read(wit, world)?;
    let mut module = dummy_module(&resolve, world, ManglingAndAbi::Legacy(LiftLowerAbi::Sync));
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8)?;
    Ok(module)
}
