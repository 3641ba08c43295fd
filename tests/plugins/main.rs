//! The same examples in every language do the same, against the real server; and so do the committed
//! components and freshly rebuilt ones: who has no toolchain runs what the sources say.

#[path = "../harness/mod.rs"]
mod harness;

mod auth;
mod chat;
mod clients;
mod filter;
mod languages;

use std::path::{Path, PathBuf};
use std::process::Command;

use harness::plugins;
use harness::server::Builder;

/// A chat, token auth and a level filter: three components, or one that is all of them.
pub struct Examples {
    pub folder: PathBuf,
    pub names: Vec<&'static str>,
    /// The plugins by what they do.
    pub auth: &'static str,
    pub filter: &'static str,
}

impl Examples {
    pub fn rust(folder: &Path) -> Self {
        let names = vec!["chat", "token-auth", "level-filter"];
        Self { folder: folder.to_owned(), names, auth: "token-auth", filter: "level" }
    }

    pub fn trio(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), names: vec!["trio"], auth: "trio", filter: "trio" }
    }

    pub fn server(&self) -> Builder {
        harness::Server::builder().plugins_from(&self.folder, &self.names)
    }

    /// The shared suite.
    pub async fn scenarios(&self) {
        chat::scenario(self).await;
        auth::scenario(self).await;
        auth::settings(self).await;
        filter::scenario(self).await;
    }
}

#[tokio::test]
async fn the_committed_examples_do_what_they_say() {
    Examples::rust(&plugins::root().join("plugins/examples")).scenarios().await;
}

#[tokio::test]
async fn rebuilt_examples_do_the_same() {
    let built = tempfile::tempdir().unwrap();
    let script = plugins::root().join("scripts/build-plugins");
    let output = Command::new(script).arg("--out").arg(built.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Examples::rust(built.path()).scenarios().await;
}
