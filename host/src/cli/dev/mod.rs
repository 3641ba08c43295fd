//! `tidegate dev`: a server that has the plugins of a folder as they are saved.

mod sources;

use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::Args;
use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher};
use sources::Fingerprint;

use super::plugin::build::Project;
use super::serve::{Goodbye, log_to_stderr};
use crate::config::{self, Overrides};
use crate::server;

#[derive(Args)]
pub struct Dev {
    /// A plugin's project, or a folder with some
    #[arg(default_value = ".")]
    dir: PathBuf,
    /// Address and port [default: 127.0.0.1:8000]
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
    /// A configuration file; without it everybody may do everything
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// After the last change of a file, before it is built: editors save in several steps.
const QUIET: Duration = Duration::from_millis(100);
/// Where a file system tells of no changes, it is looked this often.
const LOOK: Duration = Duration::from_secs(2);

/// A project, and what of it was built last.
struct Watched {
    project: Project,
    built: Option<Fingerprint>,
}

impl Dev {
    pub fn run(self) -> Result<()> {
        log_to_stderr();
        let mut watched = projects(&self.dir)?;
        let folder = tempfile::Builder::new().prefix("tidegate-dev-").tempdir()?;
        let flags = Overrides {
            listen: self.listen,
            plugins_dir: Some(folder.path().to_owned()),
            shards: None,
            pusher_app: None,
        };
        let config = config::load(self.config.as_deref(), config::environment(), &flags)?;
        let goodbye = Goodbye::listen()?;
        let (hints, changes) = mpsc::channel();
        // From before the first build: what is saved meanwhile is not missed.
        let _watcher = watch(&watched, hints)?;
        for one in &mut watched {
            one.build(folder.path());
        }
        let server = server::serve(&config)?;
        tracing::info!("listening on http://{} (playground there); Ctrl-C ends it", server.address);
        let plugins = folder.path().to_owned();
        std::thread::Builder::new()
            .name("dev-builds".into())
            .spawn(move || follow(&mut watched, &changes, &plugins))
            .context("cannot start the thread that builds")?;
        goodbye.wait(None, &server);
        server.stop()
    }
}

/// The folder itself, or those of its subfolders that are projects.
fn projects(dir: &Path) -> Result<Vec<Watched>> {
    let unbuilt = |project| Watched { project, built: None };
    let own = match Project::find(dir) {
        Ok(project) => return Ok(vec![unbuilt(project)]),
        Err(error) => error,
    };
    let entries = std::fs::read_dir(dir).with_context(|| format!("cannot read {}", dir.display()))?;
    let mut folders: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    folders.sort();
    let found: Vec<Watched> = folders.iter().filter_map(|dir| Project::find(dir).ok()).map(unbuilt).collect();
    if found.is_empty() { Err(own) } else { Ok(found) }
}

fn watch(watched: &[Watched], hints: mpsc::Sender<()>) -> Result<RecommendedWatcher> {
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
        // Looking is no change: it would be told of forever.
        if event.is_ok_and(|event| !event.kind.is_access()) {
            // Nobody listens once the server goes.
            let _ = hints.send(());
        }
    })
    .context("changes of files cannot be watched")?;
    for Watched { project, .. } in watched {
        if let Err(error) = watcher.watch(&project.dir, RecursiveMode::Recursive) {
            tracing::warn!("{} is only looked at now and then: {error}", project.dir.display());
        }
    }
    Ok(watcher)
}

/// Builds what has changed, until nobody watches any more.
fn follow(watched: &mut [Watched], changes: &Receiver<()>, plugins: &Path) {
    loop {
        match changes.recv_timeout(LOOK) {
            Ok(()) => {
                // Until it is quiet.
                while changes.recv_timeout(QUIET).is_ok() {}
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        for one in watched.iter_mut() {
            if one.built != Some(Fingerprint::of(&one.project.dir)) {
                one.build(plugins);
            }
        }
    }
}

impl Watched {
    /// What cannot be built is told of; a version that is there keeps serving.
    fn build(&mut self, plugins: &Path) {
        let Project { name, dir, .. } = &self.project;
        // As it is before: what is saved during the build is built afterwards.
        self.built = Some(Fingerprint::of(dir));
        tracing::info!("building {name}");
        let began = Instant::now();
        let out = plugins.join(self.project.file_name());
        match self.project.build(&out) {
            Ok(()) => tracing::info!("built {name} in {:.1} s", began.elapsed().as_secs_f64()),
            Err(error) if out.exists() => {
                tracing::error!("{name} is not built, the version before it keeps serving: {error:#}");
            }
            Err(error) => tracing::error!("{name} is not built: {error:#}"),
        }
    }
}
