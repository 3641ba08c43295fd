//! The one engine of the process, its clock and its linker.

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use anyhow::{Context, Result};
use wasmtime::component::{HasSelf, Linker};
use wasmtime::{Cache, CacheConfig, Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

use super::bindings::{config, groups, history, key_values, log, presence, trace, types};
use super::grants::{self, Courier};
use super::interrupts::Interrupts;
use super::lasting::AllLasting;
use super::limits::{INSTANCES, MEMORIES, TABLE_ELEMENTS, TABLES};
use super::offline::{self, Recording};
use super::reads::Reads;
use super::store::StoreData;

const WASM_STACK: usize = 512 << 10;
const ASYNC_STACK: usize = 1 << 20;
/// Stores at a time with the pooling allocator. Each takes about four memory mappings, and
/// Linux gives a process 65,530.
const POOL: u32 = 4000;
/// Core instances and tables of a component, as a rule: a program and its adapters.
const PARTS: u32 = 4;
/// Stores of single channels, of all plugins and shards together. What is beyond it shares
/// stores, so that a pool is never empty for those, and for auth, filters and actions.
const OWN_STORES: usize = POOL as usize * 3 / 4;
/// The largest memory a pooled instance can have; a plugin's own limit is usually less.
const POOLED_MEMORY: usize = 256 << 20;

/// Zstandard's level for compiled code that is kept.
const CACHE_COMPRESSION: i32 = 3;

/// One of the [`OWN_STORES`].
pub struct StoreShare(Arc<AtomicUsize>);

impl StoreShare {
    /// None: the process has as many as it may.
    pub fn take(all: &Arc<AtomicUsize>) -> Option<Self> {
        if all.fetch_add(1, Relaxed) >= OWN_STORES {
            all.fetch_sub(1, Relaxed);
            return None;
        }
        Some(Self(all.clone()))
    }
}

impl Drop for StoreShare {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

/// Compiles and links components. Cheap to clone.
#[derive(Clone)]
pub struct PluginEngine {
    pub(super) engine: Engine,
    pub(super) linker: Arc<Linker<StoreData>>,
    pub(super) interrupts: Arc<Interrupts>,
    pub(super) own_stores: Arc<AtomicUsize>,
    pub(super) courier: Arc<Courier>,
    pub(super) lasting: Arc<AllLasting>,
    /// Who is asked for what plugins read.
    pub(super) reads: Reads,
    /// What plugins read is answered from this, and not by a server.
    pub(super) recording: Option<Recording>,
}

impl PluginEngine {
    /// `cache_dir` is where compiled code is kept; nobody else should be able to write there.
    pub fn new(cache_dir: Option<&Path>) -> Result<Self> {
        let cache = cache_dir.and_then(|dir| match open_cache(dir) {
            Ok(cache) => Some(cache),
            Err(error) => {
                tracing::warn!("compiled plugins are not kept: {error:#}");
                None
            }
        });
        let engine = match Engine::new(&settings(cache.clone(), true)) {
            Ok(engine) => engine,
            Err(error) => {
                // A limit on address space, mostly.
                tracing::info!("no pool of instances, they are made one by one: {error:#}");
                Engine::new(&settings(cache, false)).map_err(plain)?
            }
        };
        let mut linker = Linker::new(&engine);
        wasmtime_wasi::p2::add_to_linker_async(&mut linker).map_err(plain)?;
        wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker).map_err(plain)?;
        grants::add_to_linker(&mut linker).map_err(plain)?;
        log::add_to_linker::<_, HasSelf<StoreData>>(&mut linker, |data| data).map_err(plain)?;
        config::add_to_linker::<_, HasSelf<StoreData>>(&mut linker, |data| data).map_err(plain)?;
        key_values::add_to_linker::<_, HasSelf<StoreData>>(&mut linker, |data| data).map_err(plain)?;
        trace::add_to_linker::<_, HasSelf<StoreData>>(&mut linker, |data| data).map_err(plain)?;
        presence::add_to_linker::<_, HasSelf<StoreData>>(&mut linker, |data| data).map_err(plain)?;
        history::add_to_linker::<_, HasSelf<StoreData>>(&mut linker, |data| data).map_err(plain)?;
        groups::add_to_linker::<_, HasSelf<StoreData>>(&mut linker, |data| data).map_err(plain)?;
        types::add_to_linker::<_, HasSelf<StoreData>>(&mut linker, |data| data).map_err(plain)?;
        Ok(Self {
            interrupts: Interrupts::start(&engine)?,
            engine,
            linker: Arc::new(linker),
            own_stores: Arc::default(),
            lasting: Arc::default(),
            courier: Arc::default(),
            reads: Reads::default(),
            recording: None,
        })
    }

    /// The same engine for plugins that have nothing to do with the server's: what is kept for them is
    /// kept apart, and what they read of the server is empty.
    ///
    /// # Errors
    /// wasmtime's: the contract's interfaces are not to be linked.
    pub fn apart(&self) -> Result<Self> {
        let mut linker = Linker::clone(&self.linker);
        linker.allow_shadowing(true);
        offline::add_reads_to_linker(&mut linker).map_err(plain)?;
        let (linker, lasting) = (Arc::new(linker), Arc::default());
        Ok(Self { linker, lasting, ..self.clone() })
    }

    /// Its plugins read from a recording, and not of a server.
    pub fn offline(cache_dir: Option<&Path>, recording: Recording) -> Result<Self> {
        let engine = Self::new(cache_dir)?;
        let mut linker = Linker::clone(&engine.linker);
        // In front of a server's own.
        linker.allow_shadowing(true);
        offline::add_to_linker(&mut linker).map_err(plain)?;
        Ok(Self { linker: Arc::new(linker), recording: Some(recording), ..engine })
    }
}

fn settings(cache: Option<Cache>, pooled: bool) -> Config {
    let mut config = Config::new();
    config
        // Async component functions are not offered: without them a call costs half.
        .concurrency_support(false)
        .epoch_interruption(true)
        .wasm_backtrace_max_frames(NonZeroUsize::new(8))
        .native_unwind_info(false)
        .max_wasm_stack(WASM_STACK)
        .async_stack_size(ASYNC_STACK)
        .cache(cache);
    if pooled {
        let mut pool = PoolingAllocationConfig::new();
        pool.total_component_instances(POOL)
            .total_core_instances(POOL * PARTS)
            .total_memories(POOL)
            .total_tables(POOL * PARTS)
            .total_stacks(POOL)
            .max_core_instances_per_component(INSTANCES as u32)
            .max_memories_per_component(MEMORIES as u32)
            .max_tables_per_component(TABLES as u32)
            .table_elements(TABLE_ELEMENTS)
            .max_memory_size(POOLED_MEMORY);
        // Each memory has its 4 GiB of addresses, and the guard behind them, as is wasmtime's default: so
        // its code has nothing to check before it reads or writes.
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    } else {
        config.memory_reservation(64 << 20).memory_guard_size(64 << 10);
    }
    config
}

/// wasmtime's errors are of their own kind.
fn plain(error: wasmtime::Error) -> anyhow::Error {
    anyhow::anyhow!("{error:#}")
}

fn open_cache(dir: &Path) -> Result<Cache> {
    use std::os::unix::fs::{DirBuilderExt, MetadataExt};
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .with_context(|| format!("cannot make the cache folder {}", dir.display()))?;
    let metadata = std::fs::metadata(dir)?;
    // What lies there is run as native code.
    let own = metadata.uid() == rustix::process::geteuid().as_raw();
    anyhow::ensure!(own, "the cache folder {} belongs to another user", dir.display());
    anyhow::ensure!(metadata.mode() & 0o022 == 0, "others may write to the cache folder {}", dir.display());
    let mut config = CacheConfig::new();
    // The same: the cache compresses anew, and better, what has been loaded often, which takes 166 MB for a moment.
    config
        .with_baseline_compression_level(CACHE_COMPRESSION)
        .with_optimized_compression_level(CACHE_COMPRESSION);
    config.with_directory(dir.canonicalize()?);
    Cache::new(config).map_err(plain)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use wasmtime::component::Component;

    use super::*;

    /// How often what is kept has been loaded, and the rest of what is noted of it.
    fn noted(dir: &Path) -> Option<(u64, String)> {
        let folders = std::fs::read_dir(dir.join("modules")).ok()?.flatten();
        let mut files = folders.filter_map(|folder| folder.path().read_dir().ok()).flatten().flatten();
        let stats = files.find(|file| file.path().extension().is_some_and(|end| end == "stats"))?;
        let text = std::fs::read_to_string(stats.path()).ok()?;
        let (usages, rest) = text.split_once('\n')?;
        Some((usages.strip_prefix("usages = ")?.parse().ok()?, rest.to_owned()))
    }

    #[test]
    fn what_is_kept_is_not_compressed_again_however_often_it_is_loaded() {
        const EMPTY_COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";
        let dir = tempfile::tempdir().unwrap();
        let engine = PluginEngine::new(Some(dir.path())).unwrap().engine;
        let (began, mut first) = (Instant::now(), None);
        // Counted by a thread of the cache's own, which leaves some out where it lags behind.
        let last = loop {
            Component::new(&engine, EMPTY_COMPONENT).unwrap();
            match noted(dir.path()) {
                Some((300.., rest)) => break Some(rest),
                Some((_, rest)) => drop(first.get_or_insert(rest)),
                None => {}
            }
            assert!(began.elapsed() < Duration::from_secs(30), "{:?}", noted(dir.path()));
        };
        assert_eq!(last, first);
    }
}
