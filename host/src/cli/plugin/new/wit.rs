//! The contract's files, with its types for TypeScript, as this program was built with them.

use std::path::Path;

use anyhow::Result;

macro_rules! files {
    ($($name:literal),* $(,)?) => {
        /// Names and texts.
        pub const FILES: &[(&str, &str)] =
            &[$(($name, include_str!(concat!("../../../../../wit/", $name)))),*];
    };
}

files!(
    "actions.wit",
    "auth.wit",
    "channel-handler.wit",
    "config.wit",
    "filter.wit",
    "groups.wit",
    "history.wit",
    "info.wit",
    "log.wit",
    "presence.wit",
    "store.wit",
    "tidegate.d.ts",
    "trace.wit",
    "types.wit",
    "world.wit",
);

/// Writes them into a folder, which is made.
///
/// # Errors
/// Names the file that cannot be written.
pub fn write(folder: &Path) -> Result<()> {
    FILES.iter().try_for_each(|(name, text)| super::write(&folder.join(name), text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_contract_is_there() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../wit");
        let mut names: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names, FILES.iter().map(|(name, _)| *name).collect::<Vec<_>>());
    }
}
