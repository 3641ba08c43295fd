//! What plugins may reach outside the server: what the configuration grants, and nothing else.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use super::jwks::tls;
use crate::harness::{Client, Server, cli, sign};

/// Somebody else's HTTP server: `/slow` answers when it is told to, `/big` with a megabyte,
/// `/elsewhere` with a redirect, `/trace` with its trace contexts, `/echo` with what it was sent, all else with its path.
struct Outside {
    port: u16,
    connections: Arc<AtomicUsize>,
    /// Requests for `/slow` that have come.
    waiting: watch::Receiver<usize>,
    go_on: watch::Sender<bool>,
}

impl Outside {
    async fn start() -> Self {
        Self::serve(None).await
    }

    async fn serve(tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let connections = Arc::new(AtomicUsize::new(0));
        let (came, waiting) = watch::channel(0);
        let (go_on, may) = watch::channel(false);
        let (came, counted) = (Arc::new(came), connections.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::SeqCst);
                let (came, may, tls) = (came.clone(), may.clone(), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => talk(stream, &came, may).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                talk(stream, &came, may).await;
                            }
                        }
                    }
                });
            }
        });
        Self { port, connections, waiting, go_on }
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    async fn wait_for(&self, requests: usize) {
        self.waiting.clone().wait_for(|waiting| *waiting >= requests).await.unwrap();
    }
}

/// Answers requests one after the other, until there are no more.
async fn talk(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    came: &watch::Sender<usize>,
    mut may: watch::Receiver<bool>,
) {
    loop {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let Ok(byte) = stream.read_u8().await else { return };
            head.push(byte);
        }
        let head = String::from_utf8(head).unwrap().to_lowercase();
        let path = head.split(' ').nth(1).unwrap();
        let (mut status, mut body) = ("200 OK", path.as_bytes().to_vec());
        match path {
            "/slow" => {
                came.send_modify(|came| *came += 1);
                may.wait_for(|may| *may).await.unwrap();
            }
            "/big" => body = vec![b'x'; 1 << 20],
            "/trace" => {
                let mut lines = head.lines().filter_map(|line| line.strip_prefix("traceparent: "));
                body = format!("{:?}", lines.by_ref().collect::<Vec<_>>()).replace('"', "").into_bytes();
            }
            "/elsewhere" => status = "302 Found\r\nLocation: http://127.0.0.1:1/",
            "/echo" => {
                assert!(head.contains("transfer-encoding: chunked"), "{head}");
                let mut sent = Vec::new();
                while !sent.ends_with(b"0\r\n\r\n") {
                    sent.push(stream.read_u8().await.unwrap());
                }
                body = sent.split(|byte| *byte == b'\n').nth(1).unwrap().trim_ascii().to_vec();
            }
            _ => {}
        }
        let answer = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n", body.len());
        if stream.write_all(&[answer.into_bytes(), body].concat()).await.is_err() {
            return;
        }
    }
}

fn server(grants: &str) -> Server {
    let config = format!("[[channel]]\npattern = '*'\n[plugins.reacher.grants]\n{grants}\n");
    Server::builder().plugins(&["reacher"]).shards(1).config(&config).start()
}

fn action(name: &str, data: &str) -> Value {
    json!({ "type": "action", "channel": name, "data": data })
}

async fn does(client: &mut Client, name: &str, data: &str) -> String {
    let answer = client.ask(action(name, data)).await;
    answer["data"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
}

async fn grants(server: &Server) -> Value {
    server.report().await["plugins"][0]["loaded"]["grants"].clone()
}

#[tokio::test]
async fn without_a_grant_a_plugin_loads_and_its_calls_are_refused_by_name() {
    let outside = Outside::start().await;
    let server = Server::builder().plugins(&["reacher"]).env("SECRET", "x").start();
    let mut client = Client::connect(&server).await;
    let origin = format!("http://127.0.0.1:{}", outside.port);
    let may_not =
        format!("plugin 'reacher' may not call {origin}: add [plugins.reacher.grants] http = [\"{origin}\"]");
    for _ in 0..3 {
        assert_eq!(does(&mut client, "get", &outside.url("/a")).await, format!("error: {may_not}"));
    }
    assert_eq!(outside.connections.load(Ordering::SeqCst), 0);
    assert_eq!(does(&mut client, "env", "").await, "");
    assert_eq!(does(&mut client, "folders", "").await, "");
    server.wait_for_log("plugin 'reacher' sees no environment: add [plugins.reacher.grants] env =").await;
    server.wait_for_log("plugin 'reacher' sees no folders: add [plugins.reacher.grants] folders =").await;
    // What was said before that has been read by now, and was said once.
    assert_eq!(server.logged(&[&may_not.replace('"', "\\\"")]).len() + server.logged(&[&may_not]).len(), 1);

    // These are granted unless they are taken away.
    for name in ["now", "random"] {
        assert!(does(&mut client, name, "").await.parse::<u64>().unwrap() > 0);
    }
    let grants = grants(&server).await;
    assert_eq!((&grants["http"], &grants["env"]), (&json!([]), &json!([])), "{grants}");
    assert_eq!((&grants["clocks"], &grants["random"]), (&json!(true), &json!(true)));
    assert!(grants["refused"].as_array().unwrap().contains(&json!(may_not)), "{grants}");
}

#[tokio::test]
async fn a_request_carries_the_trace_of_the_call_that_sends_it() {
    let outside = Outside::start().await;
    let origin = format!("http://127.0.0.1:{}", outside.port);
    let server = server(&format!("http = ['{origin}']"));
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let mut followed = Client::open(&server, "/ws", &[("traceparent", trace)]).await.0;
    let mut other = Client::connect(&server).await;
    for (client, carries) in [(&mut followed, format!("[{trace}]")), (&mut other, "[]".to_owned())] {
        assert_eq!(does(client, "get", &outside.url("/trace")).await, format!("200 {carries}"));
    }
}

#[tokio::test]
async fn clocks_and_random_numbers_can_be_taken_away() {
    let server = server("clocks = false\nrandom = false");
    let mut client = Client::connect(&server).await;
    for (name, says) in [
        ("now", "may not read a clock: [plugins.reacher.grants] has clocks = false"),
        ("random", "gets no random numbers: [plugins.reacher.grants] has random = false"),
    ] {
        assert_eq!(client.ask(action(name, "")).await["code"], "plugin_failed");
        server.wait_for_log(says).await;
    }
    let loaded = server.report().await["plugins"][0]["loaded"].clone();
    assert_eq!(loaded["failures"]["not_granted"], 2, "{loaded}");
    let last = loaded["last_failure"].as_str().unwrap();
    assert!(last.contains("[plugins.reacher.grants] has random = false"), "{last}");
}

#[tokio::test]
async fn a_plugin_sees_the_variables_that_it_is_given_and_no_other() {
    let config = "[[channel]]\npattern = '*'\n[plugins.reacher.grants]\nenv = { MODE = 'test' }\n\
                  env_from_server = ['API_KEY']";
    let builder = Server::builder().plugins(&["reacher"]).config(config);
    let server = builder.env("API_KEY", "hunter2").env("OTHER", "x").start();
    let mut client = Client::connect(&server).await;
    assert_eq!(does(&mut client, "env", "").await, "API_KEY=hunter2;MODE=test");
    let report = server.report().await.to_string();
    assert!(report.contains("API_KEY") && !report.contains("hunter2"), "{report}");
    assert!(server.logged(&["hunter2"]).is_empty());
}

#[tokio::test]
async fn a_granted_folder_is_read_and_neither_written_nor_left() {
    let dir = tempfile::tempdir().unwrap();
    let (folder, other) = (dir.path().join("in"), dir.path().join("out"));
    for path in [&folder, &other] {
        std::fs::create_dir(path).unwrap();
        std::fs::write(path.join("file"), path.file_name().unwrap().as_encoded_bytes()).unwrap();
    }
    std::os::unix::fs::symlink(other.join("file"), folder.join("link")).unwrap();
    std::os::unix::fs::symlink("../out", folder.join("door")).unwrap();
    std::os::unix::fs::symlink("file", folder.join("fine")).unwrap();
    let server = server(&format!("folders = {{ '/data' = '{}' }}", folder.display()));
    let mut client = Client::connect(&server).await;
    assert_eq!(does(&mut client, "folders", "").await, "/data");
    assert_eq!(does(&mut client, "read", "/data/file").await, "in");
    assert_eq!(does(&mut client, "read", "/data/fine").await, "in", "a link within it");
    for path in ["../out/file", "link", "door/file", "../in/../out/file", "/etc/passwd"] {
        let said = does(&mut client, "read", &format!("/data/{path}")).await;
        assert!(said.starts_with("error: ") && said.contains("\"not-permitted\""), "{path}: {said}");
    }
    for (name, path) in [("write", "file"), ("write", "new"), ("unlink", "file")] {
        let said = does(&mut client, name, &format!("/data/{path}")).await;
        assert!(
            said.contains("\"not-permitted\"") || said.contains("\"read-only\""),
            "{name} {path}: {said}"
        );
    }
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 4);
    assert_eq!(std::fs::read(folder.join("file")).unwrap(), b"in");
}

#[tokio::test]
async fn a_request_goes_where_it_may_on_a_connection_that_is_kept() {
    let outside = Outside::start().await;
    let server = server(&format!("http = ['http://127.0.0.1:{}']", outside.port));
    let mut client = Client::connect(&server).await;
    for path in ["/a", "/a?x=1", "/b"] {
        assert_eq!(does(&mut client, "get", &outside.url(path)).await, format!("200 {path}"));
    }
    assert_eq!(does(&mut client, "post", &outside.url("/echo")).await, "200 hello");
    assert_eq!(outside.connections.load(Ordering::SeqCst), 1, "one connection for all");
    let said = does(&mut client, "get", &outside.url("/elsewhere")).await;
    assert_eq!(said, "302 /elsewhere", "a redirect is not followed");

    // What is not on the list is not reached by another spelling either.
    let port = outside.port;
    for other in [
        format!("http://localhost:{port}/"),
        format!("http://127.1:{port}/"),
        format!("https://127.0.0.1:{port}/"),
        format!("http://127.0.0.1:{}/", port - 1),
        "http://127.0.0.1/".into(),
    ] {
        let said = does(&mut client, "get", &other).await;
        assert!(said.starts_with("error: plugin 'reacher' may not call "), "{other}: {said}");
    }
    let said = does(&mut client, "get", &format!("http://a@127.0.0.1:{port}/")).await;
    assert!(said.starts_with("error: ErrorCode::HttpRequestUriInvalid"), "{said}");
    assert_eq!(outside.connections.load(Ordering::SeqCst), 1);
    assert_eq!(grants(&server).await["http"], json!([format!("http://127.0.0.1:{port}")]));
}

#[tokio::test]
async fn a_name_on_the_list_leads_to_no_private_address_unless_that_is_named_too() {
    let outside = Outside::start().await;
    // Whatever the resolver makes of it: to the list it is a name.
    let origin = format!("http://127.1:{}", outside.port);
    let strict = server(&format!("http = ['{origin}']"));
    let mut client = Client::connect(&strict).await;
    let said = does(&mut client, "get", &format!("{origin}/a")).await;
    let says = format!(
        "error: plugin 'reacher' may not call {origin}, which is at 127.0.0.1, no public address: \
         add [plugins.reacher.grants] http_private = [\"127.0.0.1\"]"
    );
    assert_eq!(said, says);
    assert_eq!(outside.connections.load(Ordering::SeqCst), 0);

    let server = server(&format!(
        "http = ['{origin}', 'http://localhost:{}']\nhttp_private = ['127.0.0.0/8']",
        outside.port
    ));
    let mut client = Client::connect(&server).await;
    assert_eq!(does(&mut client, "get", &format!("{origin}/a")).await, "200 /a");
    let localhost = format!("http://localhost:{}/b", outside.port);
    assert_eq!(does(&mut client, "get", &localhost).await, "200 /b");
}

#[tokio::test]
async fn a_request_is_bounded_in_time_and_size() {
    let outside = Outside::start().await;
    let grant = format!("http = ['http://127.0.0.1:{}', 'http://127.0.0.1:1']", outside.port);
    let server = server(&format!("{grant}\nhttp_timeout_ms = 300\nhttp_response_bytes = 100_000"));
    let mut client = Client::connect(&server).await;
    let said = does(&mut client, "get", &outside.url("/slow")).await;
    assert_eq!(said, "error: ErrorCode::HttpResponseTimeout");
    let said = does(&mut client, "get", &outside.url("/big")).await;
    assert_eq!(said, "error: HTTP response body size exceeds limit: 100000 bytes");
    let said = does(&mut client, "get", "http://127.0.0.1:1/").await;
    assert_eq!(said, "error: ErrorCode::ConnectionRefused");
    assert_eq!(does(&mut client, "get", &outside.url("/a")).await, "200 /a");
}

#[tokio::test]
async fn a_call_that_waits_for_an_answer_holds_up_nobody_else() {
    let outside = Outside::start().await;
    // Longer than the call's own time and its second of grace.
    let grant = format!("http = ['http://127.0.0.1:{}']\nhttp_timeout_ms = 30_000", outside.port);
    let server = server(&grant);
    let (mut caller, mut other) = (Client::connect(&server).await, Client::connect(&server).await);
    caller.send(action("get", &outside.url("/slow"))).await;
    outside.wait_for(1).await;
    other.subscribe("room").await;
    for number in 0..20 {
        other.publish("room", json!(number)).await;
        assert_eq!(other.data().await, number, "on the same shard, meanwhile");
    }
    tokio::time::sleep(std::time::Duration::from_millis(1500)).await;
    outside.go_on.send_replace(true);
    assert_eq!(caller.expect("action").await["data"], "200 /slow");
}

#[tokio::test]
async fn so_many_requests_are_under_way_and_the_others_wait() {
    let outside = Outside::start().await;
    let grant = format!("http = ['http://127.0.0.1:{}']\nhttp_concurrent = 2", outside.port);
    let config = format!("[[channel]]\npattern = '*'\n[plugins.reacher.grants]\n{grant}\n");
    // An instance a shard: four that ask.
    let server = Server::builder().plugins(&["reacher"]).shards(4).config(&config).start();
    let mut clients = Vec::new();
    for _ in 0..16 {
        let mut client = Client::connect(&server).await;
        client.send(action("get", &outside.url("/slow"))).await;
        clients.push(client);
    }
    outside.wait_for(2).await;
    assert_eq!(*outside.waiting.borrow(), 2);
    outside.go_on.send_replace(true);
    for client in &mut clients {
        assert_eq!(client.expect("action").await["data"], "200 /slow");
    }
    assert!(outside.connections.load(Ordering::SeqCst) <= 2, "no third connection");
}

#[tokio::test]
async fn https_is_spoken_with_whom_an_authority_of_this_machine_vouches_for() {
    let outside = Outside::serve(Some(tls())).await;
    let origin = format!("https://localhost:{}", outside.port);
    let config =
        format!("[plugins.reacher.grants]\nhttp = ['{origin}', 'https://127.0.0.1:{}']", outside.port);
    let with = |authority: &str| {
        let builder = Server::builder().plugins(&["reacher"]).config(&config);
        builder.env("SSL_CERT_FILE", &sign::path(authority)).start()
    };
    let server = with("authority.pem");
    let mut client = Client::connect(&server).await;
    assert_eq!(does(&mut client, "get", &format!("{origin}/a")).await, "200 /a");
    let misnamed = format!("https://127.0.0.1:{}/", outside.port);
    let said = does(&mut client, "get", &misnamed).await;
    assert!(said.starts_with("error: no TLS connection: invalid peer certificate"), "{said}");
    let stranger = with("localhost.pem");
    let mut client = Client::connect(&stranger).await;
    let said = does(&mut client, "get", &format!("{origin}/a")).await;
    assert!(said.starts_with("error: no TLS connection: invalid peer certificate"), "{said}");
}

#[tokio::test]
async fn a_wrong_grant_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("tidegate.toml");
    for (grants, words) in [
        ("http = ['api.example.org']", &["plugins.a.grants.http", "api.example.org", "https://"][..]),
        ("http = ['https://a.example/path']", &["plugins.a.grants.http", "https://a.example/path"]),
        ("http = ['https://*.example']", &["plugins.a.grants.http"]),
        ("http_private = ['here']", &["http_private", "10.0.0.0/8"]),
        ("http_timeout_ms = 0", &["plugins.a.grants.http_timeout_ms = 0"]),
        ("http_timeout_ms = 60_001", &["plugins.a.grants.http_timeout_ms", "minute"]),
        ("http_response_bytes = 0", &["plugins.a.grants.http_response_bytes = 0"]),
        ("http_concurrent = 0", &["plugins.a.grants.http_concurrent = 0"]),
        ("env = { 'A=B' = 'x' }", &["plugins.a.grants.env", "A=B"]),
        ("env = { A = 'x' }\nenv_from_server = ['A']", &["plugins.a.grants", "A stands both"]),
        ("env_from_server = ['NOT_THERE']", &["plugins.a.grants.env_from_server", "NOT_THERE"]),
        ("folders = { 'data' = '/srv' }", &["plugins.a.grants.folders", "\"data\""]),
        ("folders = { '/a/../b' = '/srv' }", &["plugins.a.grants.folders"]),
        ("sockets = true", &["unknown field `sockets`", "http"]),
    ] {
        std::fs::write(&file, format!("[plugins.a.grants]\n{grants}\n")).unwrap();
        let said = cli::run(&["config", "check", file.to_str().unwrap()]);
        assert_eq!(said.code, Some(1), "{grants}: {said:?}");
        for word in words {
            assert!(said.stderr.contains(word), "{grants}: {}", said.stderr);
        }
    }
}
