//! The parts of WASI that a grant decides about, in front of wasmtime's own.

use wasmtime::Result;
use wasmtime::component::{HasData, Linker, Resource};
use wasmtime_wasi::WasiView;
use wasmtime_wasi::cli::WasiCliView;
use wasmtime_wasi::clocks::WasiClocksView;
use wasmtime_wasi::filesystem::WasiFilesystemView;
use wasmtime_wasi::p2::DynPollable;
use wasmtime_wasi::p2::bindings::cli::environment;
use wasmtime_wasi::p2::bindings::clocks::{monotonic_clock, wall_clock};
use wasmtime_wasi::p2::bindings::filesystem::{preopens, types::Descriptor};
use wasmtime_wasi::p2::bindings::random::{insecure, insecure_seed, random};

use super::{Grants, Need, NotGranted};
use crate::plugin::store::StoreData;

/// A store that is asked for something.
struct Asked<'a>(&'a mut StoreData);

fn asked(data: &mut StoreData) -> Asked<'_> {
    Asked(data)
}

impl HasData for Asked<'static> {
    type Data<'a> = Asked<'a>;
}

/// Puts what needs a grant in front of what `wasmtime_wasi` has linked.
///
/// # Errors
/// wasmtime's, never in practice: the interfaces are the same for every process.
pub fn add_to_linker(linker: &mut Linker<StoreData>) -> Result<()> {
    linker.allow_shadowing(true);
    environment::add_to_linker::<_, Asked>(linker, asked)?;
    preopens::add_to_linker::<_, Asked>(linker, asked)?;
    wall_clock::add_to_linker::<_, Asked>(linker, asked)?;
    monotonic_clock::add_to_linker::<_, Asked>(linker, asked)?;
    random::add_to_linker::<_, Asked>(linker, asked)?;
    insecure::add_to_linker::<_, Asked>(linker, asked)?;
    insecure_seed::add_to_linker::<_, Asked>(linker, asked)?;
    linker.allow_shadowing(false);
    Ok(())
}

impl Asked<'_> {
    fn grants(&self) -> &Grants {
        &self.0.owner.grants
    }

    fn clocks(&mut self) -> Result<&mut StoreData> {
        if self.grants().settings.clocks {
            return Ok(self.0);
        }
        Err(NotGranted(self.grants().refuse(Need::Clocks)).into())
    }

    fn random(&mut self) -> Result<&mut wasmtime_wasi::random::WasiRandomCtx> {
        if self.grants().settings.random {
            return Ok(self.0.ctx().ctx.random());
        }
        Err(NotGranted(self.grants().refuse(Need::Random)).into())
    }
}

impl environment::Host for Asked<'_> {
    /// Empty without a grant: the interface has no error, and a trap would end every program whose
    /// library looks there as it starts.
    fn get_environment(&mut self) -> Result<Vec<(String, String)>> {
        let grants = self.grants();
        let env = &grants.settings.env.0;
        if env.is_empty() {
            grants.refuse(Need::Env);
        }
        Ok(env.iter().map(|(name, value)| (name.clone(), value.clone())).collect())
    }

    fn get_arguments(&mut self) -> Result<Vec<String>> {
        self.0.cli().get_arguments()
    }

    fn initial_cwd(&mut self) -> Result<Option<String>> {
        self.0.cli().initial_cwd()
    }
}

impl preopens::Host for Asked<'_> {
    /// None without a grant, for the same reason.
    fn get_directories(&mut self) -> Result<Vec<(Resource<Descriptor>, String)>> {
        if self.grants().settings.folders.is_empty() {
            self.grants().refuse(Need::Folders);
        }
        preopens::Host::get_directories(&mut self.0.filesystem())
    }
}

impl wall_clock::Host for Asked<'_> {
    fn now(&mut self) -> Result<wall_clock::Datetime> {
        wall_clock::Host::now(&mut self.clocks()?.clocks())
    }

    fn resolution(&mut self) -> Result<wall_clock::Datetime> {
        wall_clock::Host::resolution(&mut self.clocks()?.clocks())
    }
}

impl monotonic_clock::Host for Asked<'_> {
    fn now(&mut self) -> Result<u64> {
        monotonic_clock::Host::now(&mut self.clocks()?.clocks())
    }

    fn resolution(&mut self) -> Result<u64> {
        monotonic_clock::Host::resolution(&mut self.clocks()?.clocks())
    }

    fn subscribe_instant(&mut self, when: u64) -> Result<Resource<DynPollable>> {
        self.clocks()?.clocks().subscribe_instant(when)
    }

    fn subscribe_duration(&mut self, nanoseconds: u64) -> Result<Resource<DynPollable>> {
        self.clocks()?.clocks().subscribe_duration(nanoseconds)
    }
}

impl random::Host for Asked<'_> {
    fn get_random_bytes(&mut self, len: u64) -> Result<Vec<u8>> {
        random::Host::get_random_bytes(self.random()?, len)
    }

    fn get_random_u64(&mut self) -> Result<u64> {
        random::Host::get_random_u64(self.random()?)
    }
}

impl insecure::Host for Asked<'_> {
    fn get_insecure_random_bytes(&mut self, len: u64) -> Result<Vec<u8>> {
        insecure::Host::get_insecure_random_bytes(self.random()?, len)
    }

    fn get_insecure_random_u64(&mut self) -> Result<u64> {
        insecure::Host::get_insecure_random_u64(self.random()?)
    }
}

impl insecure_seed::Host for Asked<'_> {
    fn insecure_seed(&mut self) -> Result<(u64, u64)> {
        insecure_seed::Host::insecure_seed(self.random()?)
    }
}
