//! `tidegate plugin new`, `build` and `wit`.

use std::path::{Path, PathBuf};

use crate::harness::cli::{Said, command, run};
use crate::plugins::root;

pub fn said(command: &mut std::process::Command) -> Said {
    let output = command.output().unwrap();
    Said {
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
        code: output.status.code(),
    }
}

/// A new project in a folder.
fn new(folder: &Path, name: &str, language: &str, more: &[&str]) -> PathBuf {
    let dir = folder.display().to_string();
    let made = run(&[&["plugin", "new", name, "--lang", language, "--dir", &dir], more].concat());
    assert_eq!(made.code, Some(0), "{made:?}");
    folder.join(name)
}

/// Builds a new plugin, where the tools are there; plays its conversation.
fn builds(language: &str, more: &[&str], tools: &[PathBuf]) {
    let folder = tempfile::tempdir().unwrap();
    let project = new(folder.path(), "my-plugin", language, more);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths(tools.iter().cloned().chain(std::env::split_paths(&path))).unwrap();
    let mut build = command();
    build.args(["plugin", "build"]).arg(&project).env("PATH", path);
    // Its dependencies are built once, whatever folder it lies in.
    build.env("CARGO_TARGET_DIR", Path::new(env!("CARGO_TARGET_TMPDIR")).join("new-plugins"));
    let built = said(&mut build);
    if built.stderr.contains(" is missing: ") || built.stderr.contains("does not build for WebAssembly") {
        eprintln!("SKIPPED: no plugin in {language} is built here: {}", built.stderr);
        assert_eq!(built.code, Some(1));
        return;
    }
    assert_eq!(built.code, Some(0), "{language}: {built:?}");
    assert!(built.stdout.contains("exports    channel-handler, info"), "{}", built.stdout);
    let (component, script) = (project.join("my-plugin.wasm"), project.join("my-plugin.test"));
    let played = said(command().args(["plugin", "test"]).args([component, script]));
    assert_eq!(played.code, Some(0), "{language}: {played:?}");
}

#[test]
fn a_plugin_in_rust_builds_and_does_what_its_script_says() {
    builds("rust", &["--sdk", &root().join("guest-sdk").display().to_string()], &[]);
}

#[test]
fn a_plugin_in_javascript_builds_and_does_what_its_script_says() {
    builds("js", &[], &[root().join("plugins/examples/js-trio/node_modules/.bin")]);
}

#[test]
fn a_plugin_in_typescript_builds_and_does_what_its_script_says() {
    builds("ts", &[], &[root().join("plugins/examples/js-trio/node_modules/.bin")]);
}

#[test]
fn a_plugin_in_typescript_that_breaks_the_contract_is_not_built() {
    let tools = root().join("plugins/examples/js-trio/node_modules/.bin");
    if !tools.join("tsc").exists() {
        return eprintln!("SKIPPED: no plugin in TypeScript is built here: run scripts/setup");
    }
    let folder = tempfile::tempdir().unwrap();
    let project = new(folder.path(), "my-plugin", "ts", &[]);
    let source = project.join("plugin.ts");
    let text = std::fs::read_to_string(&source).unwrap();
    std::fs::write(&source, text.replace("{ tag: \"pass\" }", "{ tag: \"past\" }")).unwrap();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths([tools].into_iter().chain(std::env::split_paths(&path))).unwrap();
    let built = said(command().args(["plugin", "build"]).arg(&project).env("PATH", path));
    assert_eq!(built.code, Some(1), "{built:?}");
    assert!(built.stderr.contains("plugin.ts(") && built.stderr.contains("\"past\""), "{}", built.stderr);
    assert!(!project.join("my-plugin.wasm").exists());
}

#[test]
fn a_plugin_in_python_builds_and_does_what_its_script_says() {
    builds("python", &[], &[root().join("target/languages/bin")]);
}

#[test]
fn a_plugin_in_c_builds_and_does_what_its_script_says() {
    builds("c", &[], &[root().join("target/languages/bin")]);
}

#[test]
fn what_is_there_is_not_written_over_and_names_are_checked() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().display().to_string();
    new(folder.path(), "chat", "js", &[]);
    let again = run(&["plugin", "new", "chat", "--lang", "js", "--dir", &dir]);
    assert_eq!(again.code, Some(1));
    assert!(again.stderr.contains("chat is there already"), "{}", again.stderr);
    for (name, why) in [("My Chat", "is no plugin's name"), ("7up", "does not begin with a letter")] {
        let said = run(&["plugin", "new", name, "--lang", "c", "--dir", &dir]);
        assert!(said.code == Some(1) && said.stderr.contains(why), "{said:?}");
    }
    let said = run(&["plugin", "new", "x", "--lang", "rust", "--sdk", "/nowhere", "--dir", &dir]);
    assert!(said.stderr.contains("there is no Cargo.toml"), "{}", said.stderr);
    assert!(!folder.path().join("x").exists());
}

#[test]
fn a_tool_that_is_missing_is_named_with_the_way_to_get_it() {
    let folder = tempfile::tempdir().unwrap();
    for (language, advice) in [
        ("js", "npm install"),
        ("ts", "npm install"),
        ("python", "pip install -r"),
        ("c", "pip install ziglang"),
    ] {
        let project = new(folder.path(), &format!("a-{language}"), language, &[]);
        let built = said(command().args(["plugin", "build"]).arg(&project).env("PATH", "/nowhere"));
        assert_eq!(built.code, Some(1));
        assert!(built.stderr.contains(advice), "{}", built.stderr);
    }
    let nothing = said(command().args(["plugin", "build"]).arg(folder.path()));
    assert!(
        nothing.stderr.contains("is no plugin's project: there is none of Cargo.toml, "),
        "{}",
        nothing.stderr
    );
}

#[test]
fn the_contract_is_written_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let said = run(&["plugin", "wit", &folder.path().join("wit").display().to_string()]);
    assert_eq!(said.code, Some(0), "{said:?}");
    for entry in std::fs::read_dir(root().join("wit")).unwrap() {
        let path = entry.unwrap().path();
        let written = std::fs::read(folder.path().join("wit").join(path.file_name().unwrap())).unwrap();
        assert_eq!(written, std::fs::read(&path).unwrap(), "{}", path.display());
    }
}

/// Go's runtime of the bindings is not in every proxy: the sources of wit-bindgen have it too.
#[test]
fn a_plugin_in_go_builds_and_does_what_its_script_says() {
    let bindings =
        ["debug", "release"].map(|profile| root().join("target/bindings").join(profile).join("bindings"));
    let Some(bindings) = bindings.iter().find(|file| file.is_file()) else {
        return eprintln!(
            "SKIPPED: no plugin in Go is built here: scripts/build-languages go makes tools for it"
        );
    };
    let folder = tempfile::tempdir().unwrap();
    let script = format!(
        "#!/bin/sh\n{} go \"$2\" \"$4\" \"$6\"\n\
         for pkg in ~/.cargo/registry/src/*/wit-bindgen-go-0.63.*/src/pkg; do cp -r \"$pkg\" \"$6/pkg\"; done\n\
         cd \"$6\" && go mod edit -go=1.25 pkg/go.mod && go mod edit -replace go.bytecodealliance.org/pkg=./pkg\n",
        bindings.display()
    );
    let program = folder.path().join("wit-bindgen");
    std::fs::write(&program, script).unwrap();
    std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    builds("go", &[], &[folder.path().to_owned(), "/usr/local/go/bin".into()]);
}

/// As the C bindings below.
#[test]
fn the_types_for_typescript_are_those_of_the_contract() {
    let folder = tempfile::tempdir().unwrap();
    let written = folder.path().join("tidegate.d.ts");
    let generated = said(bindings().arg("ts").arg(root().join("wit")).arg(&written));
    assert_eq!(generated.code, Some(0), "{generated:?}");
    let (wanted, committed) = (std::fs::read_to_string(written).unwrap(), root().join("wit/tidegate.d.ts"));
    if std::env::var_os("WRITE_BINDINGS").is_some() {
        return std::fs::write(committed, wanted).unwrap();
    }
    assert!(
        std::fs::read_to_string(committed).unwrap() == wanted,
        "wit/tidegate.d.ts is not of this wit/: write it with `WRITE_BINDINGS=1 cargo test --profile tests \
         --workspace --test plugin_tools of_the_contract`"
    );
}

/// Where scripts/build-languages builds it too.
fn bindings() -> std::process::Command {
    let mut cargo = std::process::Command::new("cargo");
    let manifest = root().join("tools/bindings/Cargo.toml");
    cargo.args(["run", "--quiet", "--locked", "--manifest-path"]).arg(manifest).arg("--");
    cargo.env("CARGO_TARGET_DIR", root().join("target/bindings"));
    cargo
}

/// What `new --lang c` writes is committed, for who has no wit-bindgen; this runs it. With WRITE_BINDINGS=1
/// in the environment it writes what must be committed after a change in `wit/`, comments too.
#[test]
fn the_bindings_of_new_plugins_in_c_are_those_of_the_contract() {
    if !root().join("target/languages/bin").exists() {
        return eprintln!("SKIPPED, the bindings in C are not compared: run scripts/setup");
    }
    let folder = tempfile::tempdir().unwrap();
    let project = new(folder.path(), "any", "c", &[]);
    let out = folder.path().join("bindings");
    let generated = said(bindings().arg("c").arg(project.join("wit")).arg("plugin").arg(&out));
    assert_eq!(generated.code, Some(0), "{generated:?}");
    for name in ["plugin.c", "plugin.h"] {
        let wanted = std::fs::read_to_string(out.join(name)).unwrap();
        if std::env::var_os("WRITE_BINDINGS").is_some() {
            std::fs::write(root().join("host/templates/c/bindings").join(name), &wanted).unwrap();
            continue;
        }
        let committed = std::fs::read_to_string(project.join("bindings").join(name)).unwrap();
        assert!(
            committed == wanted,
            "host/templates/c/bindings/{name} is not of this wit/: write it with \
             `WRITE_BINDINGS=1 cargo test --profile tests --workspace --test plugin_tools of_the_contract`"
        );
    }
}
