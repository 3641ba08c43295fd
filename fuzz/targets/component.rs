//! A plugin's file: any bytes, or a real component of which some bytes are others.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use tidegate::core::PluginName;
use tidegate::plugin::{LoadError, PluginEngine, PluginSettings, Source, load};
use tokio::runtime::{Builder, Runtime};

use super::input::Input;

/// The small ones first: most of the time goes into compiling.
const COMPONENTS: [&[u8]; 7] = [
    include_bytes!("../../tests/fixtures/nothing.wasm"),
    include_bytes!("../../tests/fixtures/wants-database.wasm"),
    include_bytes!("../../tests/fixtures/test-auth.wasm"),
    include_bytes!("../../tests/fixtures/pass.wasm"),
    include_bytes!("../../plugins/examples/level-filter/level-filter.wasm"),
    include_bytes!("../../plugins/examples/chat/chat.wasm"),
    include_bytes!("../../tests/fixtures/chat-v2.wasm"),
];
/// For a slow build on a busy machine; a load takes well under a second.
const PATIENCE: Duration = Duration::from_secs(30);
/// What an operator gets to read of a refusal.
const ERROR_BYTES: usize = 8192;

static ENGINE: LazyLock<PluginEngine> = LazyLock::new(|| PluginEngine::new(None).unwrap());

thread_local! {
    static RUNTIME: Runtime = Builder::new_current_thread().enable_time().build().unwrap();
}

pub fn component(data: &[u8]) {
    let bytes = file(data);
    let size = bytes.len() as u64;
    let source = Source { name: PluginName::parse("x").unwrap(), file: "x.wasm".into(), bytes };
    let began = Instant::now();
    let settings = PluginSettings::default();
    let loaded = RUNTIME.with(|runtime| runtime.block_on(load(&ENGINE, source, &settings)));
    assert!(began.elapsed() < PATIENCE, "it took {:?}", began.elapsed());
    match loaded {
        Ok(generation) => {
            assert_eq!(generation.size, size);
            assert!(generation.capabilities.names().iter().any(|name| *name != "info"), "nothing to call");
            assert!(generation.version.len() <= 64 && generation.summary.len() <= 256);
            is_one_line(&generation.version);
            is_one_line(&generation.summary);
            assert!(generation.actions.len() <= 64);
        }
        Err(error) => is_readable(&error),
    }
}

/// The first byte says what the others are: a file, or changes to a component.
fn file(data: &[u8]) -> Vec<u8> {
    let mut input = Input::new(data);
    let choice = usize::from(input.byte());
    let Some(component) = choice.checked_sub(1).and_then(|choice| COMPONENTS.get(choice)) else {
        return input.rest().to_vec();
    };
    let mut file = component.to_vec();
    let mut changes = 0;
    while !input.is_empty() && changes < 16 {
        change(&mut file, &mut input);
        changes += 1;
    }
    file
}

fn change(file: &mut Vec<u8>, input: &mut Input<'_>) {
    let how = input.byte() % 6;
    if how == 5 {
        return replace(file, input.bytes(), input.bytes());
    }
    let place = usize::from(input.u16()) | usize::from(input.byte()) << 16;
    let place = if file.is_empty() { 0 } else { place % file.len() };
    match how {
        0 => file.truncate(place),
        1 => {
            if let Some(byte) = file.get_mut(place) {
                *byte ^= 1 << (input.byte() % 8);
            }
        }
        2 => {
            let new = input.bytes();
            let end = file.len().min(place + new.len());
            file[place..end].copy_from_slice(&new[..end - place]);
        }
        3 => drop(file.splice(place..place, input.bytes().iter().copied())),
        _ => drop(file.drain(place..file.len().min(place + usize::from(input.byte())))),
    }
}

/// A text by another.
fn replace(file: &mut Vec<u8>, old: &[u8], new: &[u8]) {
    if !old.is_empty()
        && let Some(place) = file.windows(old.len()).position(|there| there == old)
    {
        file.splice(place..place + old.len(), new.iter().copied());
    }
}

/// It goes into one line of the log and into the report.
fn is_readable(error: &LoadError) {
    let said = error.to_string();
    assert!(!said.is_empty() && said.len() <= ERROR_BYTES, "{} bytes", said.len());
    is_one_line(&said);
}

/// Or a file could forge lines of the log.
fn is_one_line(text: &str) {
    assert!(!text.contains(['\n', '\r']), "more than one line: {text}");
}
