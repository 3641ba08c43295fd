//! Components for the tests, out of a few lines of WAT: every function of the contract that is not
//! given a body answers with zeros, which the contract reads as "yes" and "nothing".

use std::collections::BTreeMap;
use std::fmt::Write;

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::abi::{AbiVariant, WasmType};
use wit_parser::{
    Function, LiftLowerAbi, ManglingAndAbi, Resolve, ResourceIntrinsic, TypeDefKind, WasmExport,
    WasmExportKind, WasmImport, WorldItem, WorldKey,
};

use super::plugins::root;

const ABI: ManglingAndAbi = ManglingAndAbi::Legacy(LiftLowerAbi::Sync);

/// Zeros, as large as any answer is.
const NOTHING: u32 = 1024;
/// Where `open` writes its answer.
const OPENED: u32 = 2048;
/// Where answers that are written as numbers lie, one behind the other.
const ANSWERS: u32 = 4096;

/// What the host copies arguments with: a ring that begins anew when it is full.
const REALLOC: &str = "
    (global $next (mut i32) (i32.const 8192))
    (func (export \"cabi_realloc\") (param $old i32) (param $was i32) (param $align i32) (param $size i32)
      (result i32) (local $at i32)
      (local.set $at (i32.and (i32.add (global.get $next) (i32.const 7)) (i32.const -8)))
      (if (i32.gt_u (i32.add (local.get $at) (local.get $size)) (i32.const 60000))
        (then (local.set $at (i32.const 8192))))
      (global.set $next (i32.add (local.get $at) (local.get $size)))
      (local.get $at))";

/// One component: some interfaces of the contract, and what is particular to it.
#[derive(Clone)]
pub struct Guest {
    exports: Vec<&'static str>,
    imports: Vec<&'static str>,
    bodies: BTreeMap<String, String>,
    fields: String,
    memory: String,
    realloc: Option<String>,
    answers: u32,
}

impl Guest {
    /// Exports these interfaces of the contract.
    pub fn of(exports: &[&'static str]) -> Self {
        Self {
            exports: exports.to_vec(),
            imports: Vec::new(),
            bodies: BTreeMap::new(),
            fields: String::new(),
            memory: "1".to_owned(),
            realloc: None,
            answers: ANSWERS,
        }
    }

    /// Imports an interface; its functions are `$INTERFACE.FUNCTION`.
    pub fn import(mut self, interface: &'static str) -> Self {
        self.imports.push(interface);
        self
    }

    /// What a function does, by its name in the contract; `drop` is that of a channel, and with `after `
    /// before its name it is what runs when the host has read the answer. Parameters are numbers.
    pub fn body(mut self, function: &str, wat: &str) -> Self {
        self.bodies.insert(function.to_owned(), wat.to_owned());
        self
    }

    /// Fields of the core module.
    pub fn with(mut self, wat: &str) -> Self {
        self.fields.push_str(wat);
        self
    }

    /// Pages: the fewest and, if any, the most.
    pub fn memory(mut self, pages: &str) -> Self {
        self.memory = pages.to_owned();
        self
    }

    /// Instead of an allocator: parameters 0 to 3, an address back.
    pub fn realloc(mut self, wat: &str) -> Self {
        self.realloc = Some(wat.to_owned());
        self
    }

    /// 32-bit words at an address.
    pub fn words(self, at: u32, words: &[u32]) -> Self {
        let bytes: String =
            words.iter().flat_map(|word| word.to_le_bytes()).map(|b| format!("\\{b:02x}")).collect();
        self.with(&format!("(data (i32.const {at}) \"{bytes}\")"))
    }

    /// A function answers with these words, as they lie in memory.
    pub fn answer(mut self, function: &str, words: &[u32]) -> Self {
        let at = self.answers;
        self.answers += (words.len() as u32 * 4).next_multiple_of(8);
        self.words(at, words).body(function, &format!("(i32.const {at})"))
    }

    /// The component's bytes.
    pub fn component(&self) -> Vec<u8> {
        let mut resolve = Resolve::default();
        resolve.push_dir(root().join("wit")).unwrap();
        let interface = |name: &&str| format!("tidegate:plugin/{name}@0.1.0;\n");
        let mut world = "package test:corpus;\nworld guest {\n".to_owned();
        self.imports.iter().for_each(|name| write!(world, "import {}", interface(name)).unwrap());
        self.exports.iter().for_each(|name| write!(world, "export {}", interface(name)).unwrap());
        let package = resolve.push_str("guest.wit", &format!("{world}}}")).unwrap();
        let world = resolve.select_world(&[package], Some("guest")).unwrap();

        let text = self.text(&resolve, world);
        let mut module = wat::parse_str(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).unwrap();
        // Not validated here: what is wrong is the server's to find.
        ComponentEncoder::default().module(&module).unwrap().encode().unwrap()
    }

    fn text(&self, resolve: &Resolve, world: wit_parser::WorldId) -> String {
        let world = &resolve.worlds[world];
        let (mut imports, mut exports) = (String::new(), String::new());
        for (key, item) in &world.imports {
            let WorldItem::Interface { id, .. } = item else { continue };
            let interface = resolve.interfaces[*id].name.as_deref().unwrap_or_default();
            for function in resolve.interfaces[*id].functions.values() {
                let (module, name) =
                    resolve.wasm_import_name(ABI, WasmImport::Func { interface: Some(key), func: function });
                let signature = signature(resolve, AbiVariant::GuestImport, function).0;
                let called = format!("${interface}.{}", function.item_name());
                writeln!(imports, "(import {module:?} {name:?} (func {called}{signature}))").unwrap();
            }
        }
        let mut used = 0;
        for (key, item) in &world.exports {
            let WorldItem::Interface { id, .. } = item else { continue };
            for id in resolve.interfaces[*id].types.values() {
                if matches!(resolve.types[*id].kind, TypeDefKind::Resource) {
                    imports.push_str(&intrinsics(resolve, key, *id));
                    let dtor = WasmExport::ResourceDtor { interface: key, resource: *id };
                    let name = resolve.wasm_export_name(ABI, dtor);
                    let body = self.bodies.get("drop").inspect(|_| used += 1).map_or("", String::as_str);
                    writeln!(exports, "(func (export {name:?}) (param i32) {body})").unwrap();
                }
            }
            for function in resolve.interfaces[*id].functions.values() {
                used += self.export(resolve, key, function, &mut exports);
            }
        }
        assert_eq!(used, self.bodies.len(), "a body of no function: {:?}", self.bodies.keys());
        let realloc = match &self.realloc {
            Some(body) => format!(
                "(func (export \"cabi_realloc\") (param i32 i32 i32 i32) (result i32) (local i32) {body})"
            ),
            None => REALLOC.to_owned(),
        };
        let (memory, fields) = (&self.memory, &self.fields);
        format!("(module\n{imports}\n(memory (export \"memory\") {memory})\n{realloc}\n{fields}\n{exports})")
    }

    /// Says how many of the bodies it has used.
    fn export(&self, resolve: &Resolve, key: &WorldKey, function: &Function, out: &mut String) -> usize {
        let (header, results) = signature(resolve, AbiVariant::GuestExport, function);
        let called = function.item_name();
        let name = |kind| {
            resolve.wasm_export_name(ABI, WasmExport::Func { interface: Some(key), func: function, kind })
        };
        let given = self.bodies.get(called);
        let zeros = match (called, results.as_slice()) {
            ("open", _) => format!(
                "(i32.store (i32.const {}) (call $resource-new (i32.const 7))) (i32.const {OPENED})",
                OPENED + 4
            ),
            (_, []) => String::new(),
            (_, ["i32"]) if returns_in_memory(resolve, function) => format!("(i32.const {NOTHING})"),
            (_, [kind, ..]) => format!("({kind}.const 0)"),
        };
        let body = given.unwrap_or(&zeros);
        let locals = "(local $n i32)";
        writeln!(out, "(func (export {:?}){header} {locals} {body})", name(WasmExportKind::Normal)).unwrap();
        let after = self.bodies.get(&format!("after {called}"));
        if let Some(after) = after {
            let parameters = parameters(&results);
            writeln!(out, "(func (export {:?}){parameters} {after})", name(WasmExportKind::PostReturn))
                .unwrap();
        }
        usize::from(given.is_some()) + usize::from(after.is_some())
    }
}

/// What a component does with the handles of its own resource.
fn intrinsics(resolve: &Resolve, key: &WorldKey, resource: wit_parser::TypeId) -> String {
    let all = [
        (ResourceIntrinsic::ExportedNew, "$resource-new", "(param i32) (result i32)"),
        (ResourceIntrinsic::ExportedRep, "$resource-rep", "(param i32) (result i32)"),
        (ResourceIntrinsic::ExportedDrop, "$resource-drop", "(param i32)"),
    ];
    let line = |(intrinsic, called, signature)| {
        let import = WasmImport::ResourceIntrinsic { interface: Some(key), resource, intrinsic };
        let (module, name) = resolve.wasm_import_name(ABI, import);
        format!("(import {module:?} {name:?} (func {called} {signature}))\n")
    };
    all.map(line).concat()
}

fn returns_in_memory(resolve: &Resolve, function: &Function) -> bool {
    resolve.wasm_signature(AbiVariant::GuestExport, function).retptr
}

/// As text, and the results' types.
fn signature(resolve: &Resolve, variant: AbiVariant, function: &Function) -> (String, Vec<&'static str>) {
    let signature = resolve.wasm_signature(variant, function);
    let (params, results) = (types(&signature.params), types(&signature.results));
    let mut text = parameters(&params);
    if !results.is_empty() {
        write!(text, " (result {})", results.join(" ")).unwrap();
    }
    (text, results)
}

fn parameters(types: &[&str]) -> String {
    if types.is_empty() { String::new() } else { format!(" (param {})", types.join(" ")) }
}

fn types(types: &[WasmType]) -> Vec<&'static str> {
    let name = |kind: &WasmType| match kind {
        WasmType::I32 | WasmType::Pointer | WasmType::Length => "i32",
        WasmType::I64 | WasmType::PointerOrI64 => "i64",
        WasmType::F32 => "f32",
        WasmType::F64 => "f64",
    };
    types.iter().map(name).collect()
}
