//! The examples in other languages. Those of a reasonable size are committed; each is built anew where
//! its toolchain is here.

use std::path::Path;
use std::process::Command;

use super::Examples;
use super::harness::plugins;

async fn committed(language: &str) {
    let folder = plugins::root().join(format!("plugins/examples/{language}-trio/built"));
    Examples::trio(&folder).scenarios().await;
}

/// Says so where it cannot be built here: then nothing is tested.
async fn rebuilt(language: &str) {
    let built = tempfile::tempdir().unwrap();
    if build(language, built.path()) {
        Examples::trio(built.path()).scenarios().await;
    }
}

/// The script ends with 3 where the language's tools are missing.
fn build(language: &str, out: &Path) -> bool {
    let script = plugins::root().join("scripts/build-languages");
    let output = Command::new(script).arg("--out").arg(out).arg(language).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.code() == Some(3) {
        eprintln!("SKIPPED, nothing is tested for {language}: {said}");
        return false;
    }
    assert!(output.status.success(), "{said}");
    true
}

#[tokio::test]
async fn c_does_the_same() {
    committed("c").await;
}

#[tokio::test]
async fn c_rebuilt_does_the_same() {
    rebuilt("c").await;
}

#[tokio::test]
async fn javascript_does_the_same() {
    committed("js").await;
}

#[tokio::test]
async fn javascript_rebuilt_does_the_same() {
    rebuilt("js").await;
}

/// With 18 MB it is not committed.
#[tokio::test]
async fn python_built_does_the_same() {
    rebuilt("python").await;
}

/// Nor is this one, of 3.6 MB.
#[tokio::test]
async fn go_built_does_the_same() {
    rebuilt("go").await;
}
