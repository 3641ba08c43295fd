//! A WebSocket as a page shows it.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;

use super::page::{Line, masked};

pub async fn talk(url: &str, says: &[Line]) {
    let (mut socket, _) = tokio_tungstenite::connect_async(url).await.unwrap();
    for line in says {
        match line {
            Line::Sent(text) => socket.send(Message::text(text)).await.unwrap(),
            Line::Received(text) => {
                let next = timeout(Duration::from_secs(30), socket.next()).await;
                let got = next.unwrap_or_else(|_| panic!("{url} does not say {text}"));
                let got = got.unwrap().unwrap().into_text().unwrap();
                assert_eq!(masked(&got), masked(text), "{url}");
            }
        }
    }
}
