//! `GET /metrics`, in the text format of OpenMetrics. Its labels are bounded: codes, and the
//! names of plugins, never those of channels or users.
//!
//! Source: <https://prometheus.io/docs/specs/om/open_metrics_spec/>

mod plugins;

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::atomic::AtomicU64;

use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{HeaderMap, StatusCode};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

use super::api;
use super::router::{Answer, Router, text};
use crate::hub::shard::Counts;

const KIND: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");

/// For whom the server API lets read.
pub async fn answer(router: Rc<Router>, peer: SocketAddr, headers: &HeaderMap) -> Answer {
    if let Err(refused) = api::may_read(&router, peer, headers) {
        return *refused;
    }
    let Ok(counts) = router.context.shard.count_all().await else {
        return text(StatusCode::SERVICE_UNAVAILABLE, "A part of the server did not answer in time.\n");
    };
    let mut registry = Registry::with_prefix("tidegate");
    what_is(&mut registry, &counts);
    what_was(&mut registry, &counts);
    plugins::plugins(&mut registry, router.plugins.report());
    let mut process = Registry::with_prefix("process");
    // Where /proc is not to be read, these are left out.
    let _ = of_process(&mut process);
    let (mut out, mut of_process) = (String::new(), String::new());
    if encode(&mut of_process, &process).is_err() || encode(&mut out, &registry).is_err() {
        return text(StatusCode::INTERNAL_SERVER_ERROR, "The counts could not be written down.\n");
    }
    let mut answer = text(StatusCode::OK, &(of_process.trim_end_matches("# EOF\n").to_owned() + &out));
    answer.headers_mut().insert(CONTENT_TYPE, KIND);
    answer
}

fn what_is(registry: &mut Registry, counts: &Counts) {
    let mut gauge = |name: &str, help: &str, value: usize| {
        registry.register(name, help, gauge(value as u64));
    };
    gauge("shards", "Threads that serve connections", counts.shards);
    gauge("connections", "Connections now", counts.connections);
    gauge("channels", "Channels in use", counts.channels);
    gauge("subscriptions", "Subscriptions now", counts.subscriptions);
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Code {
    code: String,
}

fn what_was(registry: &mut Registry, counts: &Counts) {
    let all = &counts.since_start;
    let mut count = |name: &str, help: &str, value: u64| registry.register(name, help, counter(value));
    count("connections_opened", "Connections that were let in", all.opened);
    count("messages_received", "Messages from clients, pings among them", all.received);
    count("messages_published", "Messages that have got a place in their channel", all.published);
    count("messages_delivered", "Messages put into subscribers' queues", all.delivered);
    count("messages_dropped", "Messages left out of slow subscribers' queues", all.dropped);
    count("filter_judgements", "Messages times distinct filters that filter plugins judged", all.judged);
    let bytes = counter(all.received_bytes);
    registry.register_with_unit("received", "Payloads of clients' messages", Unit::Bytes, bytes);

    let closed = Family::<Code, Counter>::default();
    for (code, times) in &all.closed {
        let code = code.map_or_else(|| "client".to_owned(), |code| code.to_string());
        closed.get_or_create(&Code { code }).inc_by(*times);
    }
    let help = "Connections that have ended, by the server's close code, or by the client";
    registry.register("connections_closed", help, closed);
    let refused = Family::<Code, Counter>::default();
    for (code, times) in &all.refused {
        refused.get_or_create(&Code { code: (*code).to_owned() }).inc_by(*times);
    }
    registry.register("refusals", "Requests of clients that were refused, by error code", refused);
}

/// The names that Prometheus's own clients use.
fn of_process(registry: &mut Registry) -> procfs::ProcResult<()> {
    // To the nanosecond, where /proc counts in ticks.
    let used = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    let seconds = used.tv_sec as f64 + used.tv_nsec as f64 / 1e9;
    let cpu = Counter::<f64, AtomicU64>::default();
    cpu.inc_by(seconds);
    registry.register_with_unit("cpu", "User and system time", Unit::Seconds, cpu);
    let me = procfs::process::Process::myself()?;
    let resident = gauge(me.stat()?.rss * procfs::page_size());
    registry.register_with_unit("resident_memory", "Resident memory", Unit::Bytes, resident);
    registry.register("open_fds", "Open file descriptors", gauge(me.fd_count()? as u64));
    Ok(())
}

fn counter(value: u64) -> Counter {
    let counter = Counter::default();
    counter.inc_by(value);
    counter
}

fn gauge(value: u64) -> Gauge {
    let gauge = Gauge::default();
    gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
    gauge
}
