//! A client of a script: what it sends, and what has come to it.

use std::collections::VecDeque;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::matching::mismatch;
use super::script::Answer;
use crate::cli::client::{Arrived, Client, Target};

/// For anything that a step waits for.
pub const PATIENCE: Duration = Duration::from_secs(5);

pub struct Talker {
    client: Client,
    /// What has come and is no answer.
    waiting: VecDeque<Value>,
    closed: Option<(u16, String)>,
    asked: u64,
}

impl Talker {
    pub async fn connect(url: String, token: Option<String>) -> Result<Self> {
        let client = Client::connect(&Target::new(url, token)).await?;
        Ok(Self { client, waiting: VecDeque::new(), closed: None, asked: 0 })
    }

    pub async fn send(&mut self, frame: &Value) -> Result<()> {
        self.client.send(frame).await
    }

    /// Sends with an id, and waits for what answers it.
    async fn answer(&mut self, mut frame: Map<String, Value>) -> Result<Value> {
        self.asked += 1;
        let id = json!(self.asked);
        frame.insert("id".into(), id.clone());
        self.client.send(&frame.into()).await?;
        loop {
            match self.read("an answer").await? {
                Some(mut frame) if frame.get("id") == Some(&id) => {
                    if let Some(fields) = frame.as_object_mut() {
                        fields.remove("id");
                    }
                    return Ok(frame);
                }
                Some(frame) => self.waiting.push_back(frame),
                None => return Err(self.was_closed()),
            }
        }
    }

    pub async fn ask(&mut self, frame: Map<String, Value>, expected: &Answer) -> Result<()> {
        let answer = self.answer(frame).await?;
        let is_error = answer["type"] == "error";
        match expected {
            Answer::Good(_) if is_error => bail!("it is refused\n  got      {answer}"),
            Answer::Refused(_) if !is_error => bail!("it is not refused\n  got      {answer}"),
            Answer::Good(pattern) | Answer::Refused(pattern) => compare(pattern, &answer),
        }
    }

    /// The next frame that is no answer.
    pub async fn sees(&mut self, expected: &Value) -> Result<()> {
        let came = match self.waiting.pop_front() {
            Some(came) => came,
            None => match self.read("a frame").await.with_context(|| format!("expected {expected}"))? {
                Some(came) => came,
                None => return Err(self.was_closed()),
            },
        };
        compare(expected, &came)
    }

    /// What came before the answer to a ping is all there is: the server has one thread here.
    pub async fn nothing(&mut self) -> Result<()> {
        self.answer(Map::from_iter([("type".into(), "ping".into())])).await?;
        match self.waiting.front() {
            None => Ok(()),
            Some(came) => bail!("there is something\n  got      {came}"),
        }
    }

    pub async fn closed(&mut self, code: u16, reason: Option<&str>) -> Result<()> {
        while self.closed.is_none() {
            if let Some(frame) = self.read("a close").await? {
                self.waiting.push_back(frame);
            }
        }
        let Some((got, said)) = &self.closed else { return Ok(()) };
        if *got == code && reason.is_none_or(|reason| reason == said) {
            return Ok(());
        }
        bail!(
            "it is closed otherwise\n  expected {code} {}\n  got      {got} {said}",
            reason.unwrap_or_default()
        )
    }

    fn was_closed(&self) -> anyhow::Error {
        let (code, reason) = self.closed.clone().unwrap_or_default();
        anyhow::anyhow!("the server has closed the connection with {code} {reason}")
    }

    /// None: the server has closed.
    async fn read(&mut self, what: &str) -> Result<Option<Value>> {
        if self.closed.is_some() {
            return Ok(None);
        }
        let arrived = tokio::time::timeout(PATIENCE, self.client.arrived()).await;
        let Ok(arrived) = arrived else {
            let came: String = self.waiting.iter().map(|frame| format!("\n  there is {frame}")).collect();
            bail!("{what} does not come within {} s{came}", PATIENCE.as_secs());
        };
        Ok(match arrived? {
            Arrived::Text(text) => {
                Some(serde_json::from_str(&text).context("the server sent what is no JSON")?)
            }
            Arrived::Binary(bytes) => Some(binary(&bytes)),
            Arrived::Closed(code, reason) => {
                self.closed = Some((code, reason));
                None
            }
        })
    }
}

/// A binary frame has its channel's name in front, and that the name's length.
fn binary(frame: &[u8]) -> Value {
    let (length, rest) = frame.split_first().unwrap_or((&0, &[]));
    let (channel, payload) = rest.split_at_checked(usize::from(*length)).unwrap_or((&[], rest));
    let channel = String::from_utf8_lossy(channel);
    json!({ "type": "binary", "channel": channel, "base64": STANDARD.encode(payload) })
}

pub fn compare(expected: &Value, got: &Value) -> Result<()> {
    match mismatch(expected, got) {
        None => Ok(()),
        Some(why) => bail!("{why}\n  expected {expected}\n  got      {got}"),
    }
}
