//! What a component costs, whatever it is written in: its file, its load, a call, an instance.
//!
//! cargo bench --workspace --bench languages [-- FILE.wasm ...]

#[path = "parts/jobs.rs"]
mod jobs;

use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use jobs::Jobs;
use tidegate::core::clock::UnixMillis;
use tidegate::core::{Captures, ChannelName, ClientId, Payload, PluginName, Sender, UserId};
use tidegate::plugin::{
    Actor, Actors, Generation, Handshake, Headers, Job, PluginEngine, PluginSettings, Services, Source, load,
};

const CALLS: usize = 20_000;
const WARM_UP: usize = 2_000;
/// Stores at a time, for the time and the memory of one.
const STORES: usize = 40;

/// Where `plugins/examples` has them; those that lie there already built are measured.
const LANGUAGES: [&str; 6] = [
    "chat/chat.wasm",
    "token-auth/token-auth.wasm",
    "c-trio/built/trio.wasm",
    "go-trio/built/trio.wasm",
    "js-trio/built/trio.wasm",
    "python-trio/built/trio.wasm",
];

fn main() {
    let mut files: Vec<PathBuf> =
        std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).map(PathBuf::from).collect();
    if files.is_empty() {
        let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugins/examples");
        files = LANGUAGES.iter().map(|file| examples.join(file)).filter(|file| file.is_file()).collect();
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    println!(
        "{:<36} {:>8} {:>9} {:>8} {:>9} {:>17} {:>17} {:>9} {:>9}",
        "component",
        "KB",
        "compile",
        "cached",
        "instance",
        "publish p50 p99",
        "auth p50 p99",
        "KiB each",
        "KiB shared"
    );
    for file in files {
        tokio::task::LocalSet::new().block_on(&runtime, measure(&file));
    }
}

async fn measure(file: &Path) {
    let cache = tempfile::tempdir().expect("a folder");
    let (_, compile) = load_timed(&PluginEngine::new(None).expect("an engine"), file).await;
    drop(load_timed(&PluginEngine::new(Some(cache.path())).expect("an engine"), file).await);
    let (generation, cached) =
        load_timed(&PluginEngine::new(Some(cache.path())).expect("an engine"), file).await;
    let label = file.components().rev().take(3).collect::<Vec<_>>();
    let label =
        label.iter().rev().map(|part| part.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/");
    print!(
        "{label:<36} {:>8.0} {:>9} {:>8}",
        generation.size as f64 / 1000.0,
        format!("{:.0} ms", compile.as_secs_f64() * 1000.0),
        format!("{:.1} ms", cached.as_secs_f64() * 1000.0),
    );
    let handles = generation.capabilities.names().contains(&"channel-handler");
    let (mut instance, mut publish) = ("-".to_owned(), "-".to_owned());
    let (mut own, mut shared) = (instance.clone(), instance.clone());
    if handles {
        let (each, kib) = instances(&generation).await;
        (instance, own) = (format!("{:.2} ms", each.as_secs_f64() * 1000.0), format!("{kib:.0}"));
        shared = format!("{:.1}", shared_channels(file).await);
        publish = quantiles(publishes(&generation).await);
    }
    let mut auth = "-".to_owned();
    if generation.capabilities.names().contains(&"auth") {
        auth = quantiles(authentications(&generation).await);
    }
    println!(" {instance:>9} {publish:>17} {auth:>17} {own:>9} {shared:>9}");
}

async fn load_timed(engine: &PluginEngine, file: &Path) -> (Arc<Generation>, Duration) {
    load_with(engine, file, STORES).await
}

async fn load_with(engine: &PluginEngine, file: &Path, stores: usize) -> (Arc<Generation>, Duration) {
    let bytes = std::fs::read(file).expect("a built component");
    let name = PluginName::parse("bench").expect("a name");
    let source = Source { name, file: file.to_owned(), bytes };
    let settings = PluginSettings { stores: Some(stores), ..PluginSettings::default() };
    let began = Instant::now();
    let generation = load(engine, source, &settings).await.expect("a plugin");
    (Arc::new(generation), began.elapsed())
}

fn sender() -> Sender {
    Sender { client: ClientId(1), user: UserId("ada".into()) }
}

fn publish(actor: &Actor<Jobs>, payload: &Payload) {
    let (sender, event, at) = (Some(sender()), Bytes::new(), UnixMillis(1));
    actor.send(Job::Publish { sender, event, payload: payload.clone(), at }, ());
}

/// A chat message of 100 bytes.
fn line() -> Payload {
    Payload::json(Bytes::from(format!(r#"{{"text":"{}"}}"#, "x".repeat(89))))
}

fn attach(actors: &Actors<Jobs>, generation: &Arc<Generation>, count: usize) -> Vec<Actor<Jobs>> {
    let name = |number| ChannelName::parse(&format!("bench:{number}")).expect("a name");
    (0..count).map(|number| actors.attach(generation, &name(number), Captures::default())).collect()
}

/// The time to make one, open a channel in it and call it once, and its resident memory in KiB.
async fn instances(generation: &Arc<Generation>) -> (Duration, f64) {
    let sink = Rc::new(Jobs::default());
    let actors = Actors::new(sink.clone());
    let (line, before) = (line(), resident_kib());
    let channels = attach(&actors, generation, STORES);
    let began = Instant::now();
    sink.wait(STORES, || channels.iter().for_each(|channel| publish(channel, &line))).await;
    (began.elapsed() / STORES as u32, (resident_kib() - before) / STORES as f64)
}

/// The resident memory in KiB of each channel of a thousand in one store.
async fn shared_channels(file: &Path) -> f64 {
    const CHANNELS: usize = 1000;
    let engine = PluginEngine::new(None).expect("an engine");
    let (generation, _) = load_with(&engine, file, 0).await;
    let sink = Rc::new(Jobs::default());
    let actors = Actors::new(sink.clone());
    let line = line();
    let first = attach(&actors, &generation, 1);
    for _ in 0..WARM_UP {
        sink.wait(1, || publish(&first[0], &line)).await;
    }
    let before = resident_kib();
    let channels = attach(&actors, &generation, CHANNELS);
    sink.wait(CHANNELS, || channels.iter().for_each(|channel| publish(channel, &line))).await;
    (resident_kib() - before).max(0.0) / CHANNELS as f64
}

/// Each call by itself: through the actor, as the hub does it.
async fn publishes(generation: &Arc<Generation>) -> Vec<Duration> {
    let sink = Rc::new(Jobs::default());
    let actors = Actors::new(sink.clone());
    let channels = attach(&actors, generation, 1);
    let line = line();
    let mut times = Vec::new();
    for _ in 0..WARM_UP + CALLS {
        let began = Instant::now();
        sink.wait(1, || publish(&channels[0], &line)).await;
        times.push(began.elapsed());
    }
    times.split_off(WARM_UP)
}

/// A token of 128 bytes, checked.
async fn authentications(generation: &Arc<Generation>) -> Vec<Duration> {
    let services = Services::new();
    let plugins = [generation.clone()];
    let handshake = Handshake {
        path: "/v1".into(),
        query: String::new(),
        headers: Headers::pack(|| [("host", "localhost"), ("user-agent", "bench")].into_iter()),
        token: Some(TOKEN.into()),
        peer: "127.0.0.1:50000".into(),
    };
    let mut times = Vec::new();
    for _ in 0..(WARM_UP + CALLS) / 10 {
        let began = Instant::now();
        let identity = services.authenticate(&plugins, &handshake).await.expect("a good token");
        times.push(began.elapsed());
        assert_eq!(identity.user, "ada");
    }
    times.split_off(WARM_UP / 10)
}

/// `{"sub":"ada","channels":["chat:*"]}`, signed with the development secret.
const TOKEN: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhZGEiLCJjaGFubmVscyI6WyJjaGF0OioiXX0.kcC1tujyFGLY8Rp9l32B5e99CiHKaTG6o9IfG7gkLgQ";

fn quantiles(mut times: Vec<Duration>) -> String {
    times.sort();
    let micros = |part: usize| times[times.len() * part / 100].as_secs_f64() * 1e6;
    format!("{:.1} {:.1} µs", micros(50), micros(99))
}

fn resident_kib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
    line.trim().trim_end_matches(" kB").trim().parse().expect("a number")
}
