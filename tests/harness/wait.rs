//! Waiting with a bound: for a future, or for something that can only be asked again and again.

use std::time::{Duration, Instant};

/// No answer of a healthy server takes this long, even on a machine that has much else to do.
pub const BOUND: Duration = Duration::from_secs(30);
/// What the server does on purpose only after some seconds: back-off, retiring a plugin.
pub const LONG: Duration = Duration::from_secs(60);

/// The future's output; panics with `what` if it takes longer than [`BOUND`].
pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(BOUND, future).await {
        Ok(output) => output,
        Err(_) => panic!("{what}: nothing within {BOUND:?}"),
    }
}

/// Asks until there is an answer; panics with `what` after [`BOUND`].
pub async fn eventually<T>(what: &str, probe: impl AsyncFnMut() -> Option<T>) -> T {
    eventually_in(BOUND, what, probe).await
}

/// The same with a bound of the caller's.
pub async fn eventually_in<T>(bound: Duration, what: &str, mut probe: impl AsyncFnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(answer) = probe().await {
            return answer;
        }
        assert!(began.elapsed() < bound, "{what}: not within {bound:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
