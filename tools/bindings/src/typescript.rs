//! What an interface is in TypeScript, as componentize-qjs hands it to JavaScript and takes it back: a `u64` is a
//! number, none is null, an error is thrown. (jco's types are for another engine, whose `u64`s are BigInts.)

use std::fmt::Write;

use anyhow::{Context, Result};
use wit_parser::{
    Docs, Function, Handle, Interface, InterfaceId, Resolve, Type, TypeDef, TypeDefKind, TypeId, TypeOwner,
};

/// Words of JavaScript that a function of the contract may be called.
const RESERVED: [&str; 5] = ["delete", "export", "import", "new", "return"];

/// All interfaces of the package that lies in a folder, as modules.
pub fn modules(resolve: &Resolve, package: wit_parser::PackageId) -> Result<String> {
    let mut out = String::from(
        "// The contract in TypeScript, for componentize-qjs. Written by the tests from the WIT beside it: see\n\
         // the_types_for_typescript_are_those_of_the_contract.\n",
    );
    for (_, interface) in &resolve.packages[package].interfaces {
        Module { resolve, interface: *interface }.write(&mut out)?;
    }
    Ok(out)
}

struct Module<'a> {
    resolve: &'a Resolve,
    interface: InterfaceId,
}

impl Module<'_> {
    fn write(&self, out: &mut String) -> Result<()> {
        let interface = &self.resolve.interfaces[self.interface];
        doc(out, &interface.docs, "");
        writeln!(out, "declare module \"{}\" {{", self.id(self.interface)?)?;
        for (name, id) in &interface.types {
            self.declare(out, name, *id, interface)?;
        }
        let free = || interface.functions.iter().filter(|(_, function)| function.kind.resource().is_none());
        for (name, function) in free() {
            doc(out, &function.docs, "  ");
            let name = lower(name);
            let signature = self.signature(function, 0)?;
            if RESERVED.contains(&name.as_str()) {
                writeln!(out, "  function {name}_{signature};\n  export {{ {name}_ as {name} }};")?;
            } else {
                writeln!(out, "  export function {name}{signature};")?;
            }
        }
        // Else all of the module would be exported.
        writeln!(out, "  export {{}};")?;
        writeln!(out, "}}")?;
        Ok(())
    }

    fn id(&self, interface: InterfaceId) -> Result<String> {
        self.resolve.id_of(interface).context("an interface without a name")
    }

    fn declare(&self, out: &mut String, name: &str, id: TypeId, interface: &Interface) -> Result<()> {
        let TypeDef { kind, docs, .. } = &self.resolve.types[id];
        doc(out, docs, "  ");
        let upper = upper(name);
        match kind {
            TypeDefKind::Record(record) => {
                writeln!(out, "  export interface {upper} {{")?;
                for field in &record.fields {
                    doc(out, &field.docs, "    ");
                    writeln!(out, "    {}: {};", lower(&field.name), self.of(&field.ty)?)?;
                }
                writeln!(out, "  }}")?;
            }
            TypeDefKind::Variant(variant) => {
                writeln!(out, "  export type {upper} =")?;
                for case in &variant.cases {
                    doc(out, &case.docs, "    ");
                    let of =
                        case.ty.as_ref().map(|of| Ok::<_, anyhow::Error>(format!("; val: {}", self.of(of)?)));
                    writeln!(
                        out,
                        "    | {{ tag: \"{}\"{} }}",
                        case.name,
                        of.transpose()?.unwrap_or_default()
                    )?;
                }
                out.insert(out.len() - 1, ';');
            }
            TypeDefKind::Enum(of) if of.cases.iter().all(|case| case.docs.contents.is_none()) => {
                let cases: Vec<_> = of.cases.iter().map(|case| format!("\"{}\"", case.name)).collect();
                writeln!(out, "  export type {upper} = {};", cases.join(" | "))?;
            }
            TypeDefKind::Enum(of) => {
                writeln!(out, "  export type {upper} =")?;
                for case in &of.cases {
                    doc(out, &case.docs, "    ");
                    writeln!(out, "    | \"{}\"", case.name)?;
                }
                out.insert(out.len() - 1, ';');
            }
            TypeDefKind::Resource => self.resource(out, &upper, id, interface)?,
            TypeDefKind::Type(Type::Id(used))
                if self.resolve.types[*used].owner != TypeOwner::Interface(self.interface) =>
            {
                writeln!(out, "  export type {upper} = {};", self.elsewhere(*used)?)?;
            }
            kind => writeln!(out, "  export type {upper} = {};", self.kind(kind)?)?,
        }
        Ok(())
    }

    /// What its methods are, and what makes one: a class has both.
    fn resource(&self, out: &mut String, upper: &str, id: TypeId, interface: &Interface) -> Result<()> {
        let own = || interface.functions.values().filter(|function| function.kind.resource() == Some(id));
        let is_method = |function: &&Function| matches!(function.kind, wit_parser::FunctionKind::Method(_));
        writeln!(out, "  export interface {upper} {{")?;
        for function in own().filter(is_method) {
            doc(out, &function.docs, "    ");
            // The first is the resource itself.
            writeln!(out, "    {}{};", lower(function.item_name()), self.signature(function, 1)?)?;
        }
        writeln!(out, "  }}\n  export const {upper}: {{")?;
        for function in own().filter(|function| !is_method(function)) {
            doc(out, &function.docs, "    ");
            writeln!(out, "    {}{};", lower(function.item_name()), self.signature(function, 0)?)?;
        }
        writeln!(out, "  }};")?;
        Ok(())
    }

    fn signature(&self, function: &Function, from: usize) -> Result<String> {
        let parameter = |parameter: &wit_parser::Param| {
            Ok(format!("{}: {}", lower(&parameter.name), self.of(&parameter.ty)?))
        };
        let parameters: Result<Vec<String>> = function.params.iter().skip(from).map(parameter).collect();
        let result = match &function.result {
            None => "void".to_owned(),
            Some(Type::Id(id)) => match &self.resolve.types[*id].kind {
                // The error is thrown.
                TypeDefKind::Result(result) => {
                    result.ok.as_ref().map_or(Ok("void".to_owned()), |ok| self.of(ok))?
                }
                _ => self.of(&Type::Id(*id))?,
            },
            Some(of) => self.of(of)?,
        };
        Ok(format!("({}): {result}", parameters?.join(", ")))
    }

    fn of(&self, of: &Type) -> Result<String> {
        Ok(match of {
            Type::Bool => "boolean".into(),
            Type::Char | Type::String | Type::ErrorContext => "string".into(),
            Type::Id(id) => {
                let named = &self.resolve.types[*id];
                match (&named.name, &named.kind) {
                    (Some(name), _) if named.owner == TypeOwner::Interface(self.interface) => upper(name),
                    (Some(_), _) => self.elsewhere(*id)?,
                    (None, kind) => self.kind(kind)?,
                }
            }
            _ => "number".into(),
        })
    }

    fn elsewhere(&self, id: TypeId) -> Result<String> {
        let named = &self.resolve.types[id];
        let TypeOwner::Interface(owner) = named.owner else { anyhow::bail!("a type of no interface") };
        let name = named.name.as_deref().context("a type without a name")?;
        Ok(format!("import(\"{}\").{}", self.id(owner)?, upper(name)))
    }

    fn kind(&self, kind: &TypeDefKind) -> Result<String> {
        Ok(match kind {
            TypeDefKind::Type(of) => self.of(of)?,
            TypeDefKind::List(Type::U8) => "Uint8Array".into(),
            TypeDefKind::List(of) => match self.of(of)? {
                of if self.is_u64(kind) => format!("{of}[] | BigUint64Array"),
                of if of.contains(" | ") => format!("({of})[]"),
                of => format!("{of}[]"),
            },
            TypeDefKind::Option(of) => format!("{} | null", self.of(of)?),
            TypeDefKind::Tuple(tuple) => {
                let types: Result<Vec<String>> = tuple.types.iter().map(|of| self.of(of)).collect();
                format!("[{}]", types?.join(", "))
            }
            TypeDefKind::Handle(Handle::Own(id) | Handle::Borrow(id)) => self.of(&Type::Id(*id))?,
            other => {
                anyhow::bail!("the contract has {} without a name now: say what it is here", other.as_str())
            }
        })
    }

    /// A list of them may be an array of the engine's own.
    fn is_u64(&self, list: &TypeDefKind) -> bool {
        let TypeDefKind::List(mut of) = *list else { return false };
        while let Type::Id(id) = of
            && let TypeDefKind::Type(next) = self.resolve.types[id].kind
        {
            of = next;
        }
        of == Type::U64
    }
}

fn doc(out: &mut String, docs: &Docs, indent: &str) {
    let Some(text) = docs.contents.as_deref() else { return };
    let lines: Vec<&str> = text.trim_end().lines().collect();
    if let [line] = lines[..] {
        return *out += &format!("{indent}/** {line} */\n");
    }
    *out += &format!("{indent}/**\n");
    for line in lines {
        *out += format!("{indent} * {line}").trim_end();
        *out += "\n";
    }
    *out += &format!("{indent} */\n");
}

fn upper(name: &str) -> String {
    let word = |word: &str| word[..1].to_ascii_uppercase() + &word[1..];
    name.split('-').map(word).collect()
}

fn lower(name: &str) -> String {
    let upper = upper(name);
    upper[..1].to_ascii_lowercase() + &upper[1..]
}
