//! What a component imports that does nothing unless the operator grants it.

use serde::Serialize;

/// One grant, by the interface that asks for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Needed {
    pub interface: String,
    /// The line below `[plugins.NAME.grants]`.
    pub grant: &'static str,
    /// What comes of it without the grant.
    pub without: &'static str,
}

/// By the beginning of an interface's name. Clocks and random numbers are granted unless they are
/// taken away, so nobody need write them.
const GRANTS: [(&str, &str, &str); 4] = [
    ("wasi:http/outgoing-handler", r#"http = ["https://api.example.org"]"#, "its requests are refused"),
    ("wasi:cli/environment", r#"env = { NAME = "value" }"#, "it sees no variables"),
    ("wasi:filesystem/preopens", r#"folders = { "/data" = "PATH" }"#, "it sees no folders"),
    ("wasi:sockets/tcp@", "(there is none)", "it has no sockets: use wasi:http"),
];

/// What of these imports needs a grant.
pub fn needed(imports: &[String]) -> Vec<Needed> {
    let found = imports.iter().filter_map(|interface| {
        let (_, grant, without) = GRANTS.iter().find(|(begin, ..)| interface.starts_with(begin))?;
        Some(Needed { interface: interface.clone(), grant, without })
    });
    found.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_needs_a_grant_is_named_by_its_interface() {
        let imports =
            ["tidegate:plugin/log@0.1.0", "wasi:clocks/wall-clock@0.2.6", "wasi:http/outgoing-handler@0.2.6"];
        let needed = needed(&imports.map(String::from));
        assert_eq!(needed.len(), 1);
        assert_eq!(needed[0].interface, imports[2]);
    }
}
