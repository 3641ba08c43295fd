//! Go.

use anyhow::{Result, bail};

use super::Project;

pub fn build(_: &Project) -> Result<Vec<u8>> {
    bail!("Go is not built by this version")
}
