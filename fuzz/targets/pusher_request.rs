//! Signed requests of applications' servers: a path and a query.

use tidegate::dialect::pusher::request::{Head, auth_key, verify};
use tidegate::dialect::pusher::sign::SigningKey;

const KEY: &str = "278d425bdf160c739803";
const NOW: u64 = 1_353_088_179;

pub fn pusher_request(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (path, query) = text.split_once('?').unwrap_or((text, ""));
    let head = Head { method: "POST", path, query };
    let ours = SigningKey::new(b"7ad3773142a6692b25b8").unwrap();
    let another = SigningKey::new(b"another").unwrap();

    auth_key(query);
    // Whoever made this up has the worked example of the documentation at most.
    if let Ok(params) = verify(KEY, &ours, head, NOW) {
        assert!(query.contains("da454824c97ba181a32ccc17a72625ba02771f50b50e1e7430e47a1f3f457e6c"));
        assert_eq!(auth_key(query).as_deref(), Some(KEY));
        let _ = params.check_body(data);
    }
    assert!(verify(KEY, &another, head, NOW).is_err());

    // What is signed as it stands is taken, whatever else it says.
    if query.to_lowercase().contains("auth_") {
        return;
    }
    let query = format!("{query}&auth_key={KEY}&auth_timestamp={NOW}&auth_version=1.0");
    let mut pairs: Vec<(String, &str)> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (name.to_lowercase(), value))
        .collect();
    pairs.sort_by(|(a, _), (b, _)| a.cmp(b));
    let plain: Vec<_> = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let signature = ours.request("POST", path, &plain.join("&"));
    let signed = format!("{query}&auth_signature={signature}");
    let check = |now, query: &str| verify(KEY, &ours, Head { query, ..head }, now);
    let params = check(NOW, &signed).unwrap();
    assert_eq!(params.get("auth_version"), Some("1.0"));
    assert!(check(NOW + 600, &signed).is_err());
    assert!(check(NOW, &format!("{signed}0")).is_err());
    assert!(check(NOW, &format!("{signed}&more=1")).is_err());
}
