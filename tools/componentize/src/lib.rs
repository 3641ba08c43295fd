//! Turns core modules into components: such as wit-bindgen produced for Rust, which know their
//! world themselves, and those of compilers that are told it. Modules that import WASI 0.1 get the
//! adapter to 0.2.

mod strip;
pub mod world;

use std::path::Path;

use anyhow::{Context, Result};
use wasi_preview1_component_adapter_provider::{
    WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER,
};
use wasmparser::{Parser, Payload};
use wit_component::ComponentEncoder;

/// Above this many bytes a component goes without the names of its functions.
const SIZE_WITH_NAMES: usize = 1_000_000;

/// A component of a module with its type inside; with the functions' names, for backtraces, as long
/// as they do not make it large.
///
/// # Errors
/// It is no such module.
pub fn from_module(module: &[u8]) -> Result<Vec<u8>> {
    let named = encode(&strip::custom_sections(module, strip::Names::Functions)?)?;
    if named.len() <= SIZE_WITH_NAMES {
        return Ok(named);
    }
    encode(&strip::custom_sections(module, strip::Names::Nothing)?)
}

/// A component of a module that says nothing of its type: that of `world` in the package in `wit`,
/// whose dependencies are in `wit/deps`.
///
/// # Errors
/// The WIT cannot be read, or the module does not fit it.
pub fn from_module_of(mut module: Vec<u8>, wit: &Path, world: &str) -> Result<Vec<u8>> {
    world::embed(&mut module, wit, world)?;
    from_module(&module)
}

/// # Errors
/// It is no core module with a component's type inside.
pub fn encode(module: &[u8]) -> Result<Vec<u8>> {
    let mut encoder = ComponentEncoder::default();
    encoder
        .validate(true)
        .module(module)
        .context("not a core module with a component type inside (is it built with wit-bindgen?)")?;
    // Only then: its own versions of WASI's interfaces need not agree with those of the module.
    if imports_wasi_0_1(module)? {
        encoder.adapter(WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER)?;
    }
    encoder.encode().context("cannot make a component of it")
}

fn imports_wasi_0_1(module: &[u8]) -> Result<bool> {
    for payload in Parser::new(0).parse_all(module) {
        if let Payload::ImportSection(imports) = payload? {
            for import in imports.into_imports() {
                if import?.module == WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME {
                    return Ok(true);
                }
            }
        }
    }
    Ok(false)
}
