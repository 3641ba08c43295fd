//! Leaves out the custom sections that a plugin does not need at run time: DWARF,
//! producers, target features. The component's type and, if asked for, the names
//! of functions stay.

use anyhow::Result;
use wasm_encoder::{CustomSection, Module, NameMap, NameSection, RawSection};
use wasmparser::{BinaryReader, CustomSectionReader, Name, NameSectionReader, Parser, Payload};

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Names {
    Functions,
    Nothing,
}

pub fn custom_sections(module: &[u8], names: Names) -> Result<Vec<u8>> {
    let mut out = Module::new();
    for payload in Parser::new(0).parse_all(module) {
        let payload = payload?;
        if let Payload::CustomSection(section) = &payload {
            if section.name().starts_with("component-type") {
                out.section(&CustomSection { name: section.name().into(), data: section.data().into() });
            } else if section.name() == "name" && names == Names::Functions {
                out.section(&function_names(section)?);
            }
        } else if let Some((id, range)) = payload.as_section() {
            // The range lies in `module`, so its ends fit a usize.
            let data = &module[range.start as usize..range.end as usize];
            out.section(&RawSection { id, data });
        }
    }
    Ok(out.finish())
}

/// Names of locals, globals and data segments go.
fn function_names(section: &CustomSectionReader<'_>) -> Result<NameSection> {
    let mut functions = NameMap::new();
    let bytes = BinaryReader::new(section.data(), section.data_offset());
    for subsection in NameSectionReader::new(bytes) {
        if let Name::Function(map) = subsection? {
            for naming in map {
                let naming = naming?;
                functions.append(naming.index, naming.name);
            }
        }
    }
    let mut names = NameSection::new();
    names.functions(&functions);
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_component_type_and_nothing_else_unasked() {
        let mut module = Module::new();
        for name in ["producers", "component-type:w", ".debug_info"] {
            module.section(&CustomSection { name: name.into(), data: (&[1u8, 2][..]).into() });
        }
        let stripped = custom_sections(&module.finish(), Names::Functions).unwrap();

        let kept: Vec<_> = Parser::new(0)
            .parse_all(&stripped)
            .filter_map(|payload| match payload.unwrap() {
                Payload::CustomSection(section) => Some(section.name().to_owned()),
                _ => None,
            })
            .collect();
        assert_eq!(kept, ["component-type:w"]);
    }
}
