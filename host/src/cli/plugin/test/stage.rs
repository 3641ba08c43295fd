//! A server with the plugin, and the clients of one script.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use jsonwebtoken::{EncodingKey, Header};
use serde_json::{Value, json};

use super::script::{Script, Step, What, Who};
use super::settings::{self, SECRET};
use super::talker::{PATIENCE, Talker, compare};
use super::{api, file};
use crate::cli::token::DEVELOPMENT_SECRET;
use crate::server::{self, Server};

/// Between two looks whether a new version is there.
const LOOK: Duration = Duration::from_millis(10);
/// For a version to be compiled, at most.
const RELOAD: Duration = Duration::from_secs(60);

pub struct Stage {
    server: Server,
    clients: BTreeMap<String, Talker>,
    /// Clients are users by their names in the script.
    named: bool,
    plugin: PathBuf,
    /// Files that the script names are looked for here.
    pub folder: PathBuf,
    _folder: tempfile::TempDir,
}

impl Stage {
    /// # Errors
    /// A component that no server would load, settings that are wrong.
    pub fn set(plugin: &Path, others: &[PathBuf], script: &Script) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("tidegate-test-").tempdir()?;
        let plugins = folder.path().join("plugins");
        std::fs::create_dir(&plugins)?;
        let plain = settings::of(folder.path(), &script.settings, false)?;
        let cache = server::cache_dir(&plain);
        let (mut first, mut says_who) = (None, false);
        for path in [plugin].into_iter().chain(others.iter().map(PathBuf::as_path)) {
            let loaded = file::block_on(file::load(path, Default::default(), cache.as_deref()))?;
            let generation = loaded.plugin.generation();
            says_who |= generation.capabilities.names().contains(&"auth");
            let place = plugins.join(format!("{}.wasm", generation.name));
            ensure!(!place.exists(), "two plugins are called {}", generation.name);
            std::fs::copy(path, &place).with_context(|| format!("cannot copy {}", path.display()))?;
            first.get_or_insert(place);
        }
        let named = !says_who && !settings::has_jwt(&script.settings);
        let config = if named { settings::of(folder.path(), &script.settings, true)? } else { plain };
        let plugin = first.context("no plugin")?;
        Ok(Self {
            server: server::serve(&config)?,
            clients: BTreeMap::new(),
            named,
            plugin,
            folder: PathBuf::new(),
            _folder: folder,
        })
    }

    /// # Errors
    /// Its settings have a folder for what is saved, and it could not be saved.
    pub fn end(self) -> Result<()> {
        drop(self.clients);
        self.server.stop()
    }

    pub async fn play(&mut self, step: &Step) -> Result<()> {
        match &step.who {
            Who::Server => self.serve(&step.what).await,
            Who::Client(name) => self.talk(name, &step.what).await,
        }
    }

    async fn serve(&mut self, what: &What) -> Result<()> {
        match what {
            What::Request { method, path, body, status, answer } => {
                let called = api::call(self.server.address, method, path, body.as_ref());
                let called = tokio::time::timeout(PATIENCE, called).await;
                let (got, said) = called.context("the server does not answer")??;
                ensure!(
                    got == *status,
                    "the status is another\n  expected {status}\n  got      {got} {said}"
                );
                answer.as_ref().map_or(Ok(()), |answer| compare(answer, &said))
            }
            What::Reload(file) => self.reload(&self.folder.join(file)).await,
            _ => Ok(()),
        }
    }

    async fn talk(&mut self, name: &str, what: &What) -> Result<()> {
        if let What::Connect(options) = what {
            let talker = self.connect(name, options).await?;
            self.clients.insert(name.to_owned(), talker);
            return Ok(());
        }
        if what == &What::Goes {
            self.clients.remove(name);
            return Ok(());
        }
        if !self.clients.contains_key(name) {
            let talker = self.connect(name, &Value::Null).await?;
            self.clients.insert(name.to_owned(), talker);
        }
        let Some(client) = self.clients.get_mut(name) else { return Ok(()) };
        match what {
            What::Ask(frame, answer) => client.ask(frame.clone(), answer).await,
            What::Send(frame) => client.send(frame).await,
            What::Sees(frame) => client.sees(frame).await,
            What::Nothing => client.nothing().await,
            What::Closed { code, reason } => client.closed(*code, reason.as_deref()).await,
            What::Connect(_) | What::Goes | What::Request { .. } | What::Reload(_) => Ok(()),
        }
    }

    async fn connect(&self, name: &str, options: &Value) -> Result<Talker> {
        let text = |key: &str| options[key].as_str().map(str::to_owned);
        let token = match (text("token"), &options["claims"]) {
            (Some(token), _) => Some(token),
            (None, Value::Null) if self.named => Some(sign(&json!({ "sub": name }), SECRET)?),
            (None, Value::Null) => None,
            (None, claims) => {
                let secret = text("secret");
                let usual = if self.named { SECRET } else { DEVELOPMENT_SECRET };
                Some(sign(claims, secret.as_deref().unwrap_or(usual))?)
            }
        };
        let path = text("path").unwrap_or_else(|| "/ws".into());
        Talker::connect(format!("ws://{}{path}", self.server.address), token).await
    }

    /// Puts another version in the plugin's place, and waits until it is in use.
    async fn reload(&self, file: &Path) -> Result<()> {
        let bytes = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
        let wanted = crate::plugin::sha256(&bytes);
        let unfinished = self.plugin.with_extension("wasm.tmp");
        std::fs::write(&unfinished, bytes)?;
        std::fs::rename(&unfinished, &self.plugin)?;
        let name = self.plugin.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let in_use = async {
            loop {
                let (_, said) = api::call(self.server.address, "GET", "/api/plugins", None).await?;
                let plugins = said["plugins"].as_array().into_iter().flatten();
                let Some(plugin) = plugins.into_iter().find(|plugin| plugin["name"] == name.as_str()) else {
                    bail!("the server knows no plugin {name}: {said}");
                };
                if plugin["loaded"]["sha256"] == wanted.as_str() {
                    return Ok(());
                }
                if let Some(why) = plugin["error"]["message"].as_str() {
                    bail!("the new version is refused: {why}");
                }
                tokio::time::sleep(LOOK).await;
            }
        };
        tokio::time::timeout(RELOAD, in_use).await.context("the new version does not come into use")?
    }
}

fn sign(claims: &Value, secret: &str) -> Result<String> {
    let key = EncodingKey::from_secret(secret.as_bytes());
    jsonwebtoken::encode(&Header::default(), claims, &key).context("the claims make no token")
}
