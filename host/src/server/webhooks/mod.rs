//! Tells applications what happens in their channels: a thread of its own, so that no client waits
//! behind somebody else's server. What is not told when the server stops, is not told at all.

mod settling;
mod teller;

use std::sync::Arc;

use anyhow::{Context, Result};
use serde_json::value::{RawValue, to_raw_value};
use tokio::task::LocalSet;
use tokio::time::{Instant, sleep_until};

use crate::config::{HttpUrl, WebhookEvent};
use crate::core::apps::ChannelKind;
use crate::dialect::pusher::payload;
use crate::dialect::pusher::webhook::Event;
use crate::hub::notice::{Board, Notice, Wanted, What};
use crate::session::pusher::{App, Apps};
use settling::Settling;
use teller::Teller;

/// What one webhook takes.
struct Plan {
    app: Arc<App>,
    wanted: Wanted,
    key: String,
    url: HttpUrl,
}

/// The board that homes are to put notices up on; none where no application has a webhook.
///
/// # Errors
/// A URL is none, or https could never work here.
pub fn start(apps: &Arc<Apps>) -> Result<Option<Board>> {
    let mut plans = Vec::new();
    for app in apps.iter() {
        for webhook in &app.webhooks {
            let key = format!("[[pusher.app]] {}: webhooks", app.id);
            let url = webhook.target(&key)?;
            let wanted = webhook.events.iter().map(|event| kind(*event)).fold(Wanted::default(), Wanted::and);
            plans.push(Plan { app: app.clone(), wanted, key, url });
        }
    }
    if plans.is_empty() {
        return Ok(None);
    }
    let mut wanted = vec![Wanted::default(); apps.iter().count()];
    for plan in &plans {
        wanted[plan.app.number] = wanted[plan.app.number].and(plan.wanted);
    }
    let board = Board::new(apps.names().clone(), wanted);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot make a runtime for webhooks")?;
    let (ready, is_ready) = std::sync::mpsc::channel();
    let (apps, theirs) = (apps.clone(), board.clone());
    std::thread::Builder::new()
        .name("webhooks".into())
        .spawn(move || {
            let tellers: Result<Vec<_>> = plans.into_iter().map(Plan::teller).collect();
            match tellers {
                Ok(tellers) => {
                    let _ = ready.send(Ok(()));
                    LocalSet::new().block_on(&runtime, run(&apps, &theirs, &tellers));
                }
                Err(error) => drop(ready.send(Err(error))),
            }
        })
        .context("cannot start the thread of webhooks")?;
    is_ready.recv().context("the thread of webhooks has ended")??;
    Ok(Some(board))
}

impl Plan {
    fn teller(self) -> Result<Teller> {
        Teller::new(self.app, self.wanted, &self.key, self.url)
    }
}

async fn run(apps: &Apps, board: &Board, tellers: &[Teller]) {
    for teller in tellers {
        tokio::task::spawn_local(teller.clone().run());
    }
    let mut settling = Settling::default();
    loop {
        let next = settling.next_at();
        let settled = async {
            match next {
                Some(at) => sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        let notices = tokio::select! {
            () = settled => Vec::new(),
            (notices, lost) = board.take() => {
                if lost > 0 {
                    tracing::warn!(lost, "webhooks cannot keep up: the oldest events were dropped");
                }
                notices
            }
        };
        let now = Instant::now();
        for notice in settling.ended(now) {
            tell(apps, tellers, &notice);
        }
        for notice in notices {
            if let Some(notice) = settling.take(notice, now) {
                tell(apps, tellers, &notice);
            }
        }
    }
}

fn tell(apps: &Apps, tellers: &[Teller], notice: &Notice) {
    let mut wanting =
        tellers.iter().filter(|teller| teller.is_for(notice.app, notice.what.kind())).peekable();
    if wanting.peek().is_none() {
        return;
    }
    match event(apps, notice) {
        Ok(event) => wanting.for_each(|teller| teller.push(event.clone())),
        Err(error) => tracing::error!(%error, "an event has no JSON"),
    }
}

fn event(apps: &Apps, notice: &Notice) -> serde_json::Result<Box<RawValue>> {
    let channel = apps.names().local(notice.channel.as_str());
    match &notice.what {
        What::Occupied => to_raw_value(&Event::ChannelOccupied { channel }),
        What::Vacated => to_raw_value(&Event::ChannelVacated { channel }),
        What::MemberAdded(user) => to_raw_value(&Event::MemberAdded { channel, user_id: user.as_str() }),
        What::MemberRemoved(user) => to_raw_value(&Event::MemberRemoved { channel, user_id: user.as_str() }),
        What::CacheMiss => to_raw_value(&Event::CacheMiss { channel }),
        What::Subscribers(count) => {
            to_raw_value(&Event::SubscriptionCount { channel, subscription_count: *count })
        }
        What::Said(said) => to_raw_value(&Event::ClientEvent {
            channel,
            event: &String::from_utf8_lossy(&said.event),
            data: &payload::text(&said.payload),
            socket_id: &apps.socket_id(said.client),
            user_id: ChannelKind::of(channel).is_presence().then(|| said.user.as_str()),
        }),
    }
}

fn kind(event: WebhookEvent) -> Wanted {
    match event {
        WebhookEvent::ChannelOccupied => Wanted::OCCUPIED,
        WebhookEvent::ChannelVacated => Wanted::VACATED,
        WebhookEvent::MemberAdded => Wanted::MEMBER_ADDED,
        WebhookEvent::MemberRemoved => Wanted::MEMBER_REMOVED,
        WebhookEvent::ClientEvent => Wanted::SAID,
        WebhookEvent::CacheMiss => Wanted::CACHE_MISS,
        WebhookEvent::SubscriptionCount => Wanted::SUBSCRIBERS,
    }
}
