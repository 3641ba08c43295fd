//! The files of a new plugin, by its language.

use std::path::Path;

use super::Language;
use crate::core::PluginName;

pub struct Template {
    language: Language,
    name: PluginName,
    sdk: String,
}

macro_rules! template {
    ($($path:literal: $file:literal),* $(,)?) => {
        &[$(($path, include_str!(concat!("../../../../templates/", $file)))),*]
    };
}

type Files = &'static [(&'static str, &'static str)];

/// `NAME` in a path is the plugin's.
const ALL: Files = template!(
    "NAME.test": "all/NAME.test",
    "README.md": "all/README.md",
    ".gitignore": "all/gitignore",
);
const RUST: Files = template!("Cargo.toml": "rust/Cargo.toml.in", "src/lib.rs": "rust/src/lib.rs");
const JS: Files = template!(
    "package.json": "js/package.json.in",
    "plugin.js": "js/plugin.js",
    "bytes.js": "js/bytes.js",
    "wit/plugin.wit": "all/world.wit",
);
const TS: Files = template!(
    "package.json": "ts/package.json.in",
    "tsconfig.json": "ts/tsconfig.json",
    "plugin.ts": "ts/plugin.ts",
    "bytes.ts": "ts/bytes.ts",
    "wit/plugin.wit": "all/world.wit",
);
const PYTHON: Files = template!(
    "requirements.txt": "python/requirements.txt",
    "plugin.py": "python/plugin.py",
    "channel_handler.py": "python/channel_handler.py",
    "wit/plugin.wit": "all/world.wit",
);
/// A package of the bindings each: the code of an interface lies beside what calls it.
const GO: Files = template!(
    "export_tidegate_plugin_channel_handler/channel.go": "go/channel.go",
    "export_tidegate_plugin_info/info.go": "go/info.go",
    "wit/plugin.wit": "all/world.wit",
);
const C: Files = template!(
    "plugin.c": "c/plugin.c",
    "bindings/plugin.c": "c/bindings/plugin.c",
    "bindings/plugin.h": "c/bindings/plugin.h",
    "wit/plugin.wit": "all/world.wit",
);

impl Template {
    /// `sdk` is a folder.
    pub fn of(language: Language, name: &PluginName, sdk: Option<&Path>) -> Self {
        let sdk = match sdk {
            Some(path) => format!("{{ path = {:?} }}", path.display().to_string()),
            None => format!("{:?}", env!("CARGO_PKG_VERSION")),
        };
        Self { language, name: name.clone(), sdk }
    }

    pub fn language(&self) -> &'static str {
        match self.language {
            Language::Rust => "Rust",
            Language::Js => "JavaScript",
            Language::Ts => "TypeScript",
            Language::Python => "Python",
            Language::Go => "Go",
            Language::C => "C",
        }
    }

    /// What has to be done once, before it is built.
    pub fn first(&self) -> &'static [&'static str] {
        match self.language {
            Language::Rust => &[],
            Language::Go => &["cargo install wit-bindgen-cli@0.63.0"],
            Language::Js | Language::Ts => &["npm install"],
            Language::Python => &["python3 -m venv .venv && .venv/bin/pip install -r requirements.txt"],
            Language::C => &["pip install ziglang"],
        }
    }

    fn needs(&self) -> &'static str {
        match self.language {
            Language::Rust => {
                "It needs Rust with the target `wasm32-unknown-unknown`: `rustup target add wasm32-unknown-unknown`."
            }
            Language::Js => "It needs Node.js 20 or later, and once `npm install`.",
            Language::Ts => {
                "It needs Node.js 20 or later, and once `npm install`. The contract's types are in\n`wit/deps/tidegate/tidegate.d.ts`: `tidegate plugin wit wit/deps/tidegate` writes them anew, with the contract."
            }
            Language::Python => {
                "It needs Python 3.11 or later, and once\n`python3 -m venv .venv && .venv/bin/pip install -r requirements.txt`."
            }
            Language::Go => {
                "It needs Go 1.25 or later, and wit-bindgen 0.63 (`cargo install wit-bindgen-cli@0.63.0`). The code of an\ninterface lies in the package that its bindings are written to."
            }
            Language::C => {
                "It needs Zig's C compiler (`pip install ziglang`, or ziglang.org). What calls the contract, in\n`bindings/`, was written by `wit-bindgen c wit --world plugin --out-dir bindings`; do so again after a\nchange in `wit/`."
            }
        }
    }

    fn ignored(&self) -> &'static str {
        match self.language {
            Language::Rust => "/target",
            Language::Js => "/node_modules",
            Language::Ts => "/node_modules\n/.build",
            Language::Python => "/.venv\n__pycache__",
            Language::Go | Language::C => "/.build",
        }
    }

    /// Paths and texts.
    pub fn files(&self) -> impl Iterator<Item = (String, String)> {
        let own = match self.language {
            Language::Rust => RUST,
            Language::Js => JS,
            Language::Ts => TS,
            Language::Python => PYTHON,
            Language::Go => GO,
            Language::C => C,
        };
        ALL.iter().chain(own).map(|(path, text)| (path.replace("NAME", self.name.as_str()), self.fill(text)))
    }

    fn fill(&self, text: &str) -> String {
        let name = self.name.as_str();
        // So that the README's three commands stand in columns.
        let pad = " "
            .repeat(50usize.saturating_sub("tidegate plugin test .wasm .test".len() + 2 * name.len()).max(2));
        text.replace("{{name}}", name)
            .replace("{{sdk}}", &self.sdk)
            .replace("{{language}}", self.language())
            .replace("{{needs}}", self.needs())
            .replace("{{ignored}}", self.ignored())
            .replace("{{pad}}", &pad)
            .replace("{{199}}", &"x".repeat(199))
    }
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;

    #[test]
    fn nothing_is_left_to_be_filled_in() {
        let name = PluginName::parse("my-plugin").unwrap();
        for language in Language::value_variants() {
            for (path, text) in Template::of(*language, &name, None).files() {
                assert!(!text.contains("{{name") && !text.contains("{{sdk"), "{language:?}: {path}");
                assert!(!path.contains("NAME"), "{path}");
            }
        }
    }
}
