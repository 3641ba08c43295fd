//! Users by token: a JSON Web Token signed with HS256 says who they are, for how
//! long, and which channels they may use.

mod token;

use std::sync::atomic::{AtomicBool, Ordering};

use tidegate_guest::prelude::*;

/// Signs tokens where the server's configuration has no `secret`. Anyone knows it.
const DEVELOPMENT_SECRET: &str = "tidegate-development-secret";

struct TokenAuth;

impl Auth for TokenAuth {
    fn authenticate(request: &Handshake) -> Result<Identity, String> {
        let Some(token) = &request.token else {
            return match config::get("anonymous").as_deref() {
                Some("false") => Err("A token is required.".to_owned()),
                _ => Ok(Identity::anonymous()),
            };
        };
        let claims = token::verify(token, secret()?.as_bytes())?;
        let mut identity = Identity::user(claims.sub);
        // A plugin has no clock: the server ends the identity then, at once if it is past.
        identity.expires_at_ms = claims.expires_at_ms;
        for pattern in claims.channels.into_iter().flatten() {
            identity = identity.claim("channel", pattern);
        }
        Ok(identity)
    }

    /// Without any pattern all channels are allowed, but for those of other users.
    fn authorize(who: &Identity, _action: Action, channel: &ChannelName) -> Permission {
        if channel.capture("user").is_some_and(|user| user != who.user) {
            return Permission::refused("It is another user's.");
        }
        let patterns = || who.claims.iter().filter(|(name, _)| name == "channel");
        (patterns().next().is_none() || patterns().any(|(_, pattern)| covers(pattern, channel))).into()
    }
}

/// `*` at the end of a pattern stands for the rest of the name.
fn covers(pattern: &str, channel: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => channel.starts_with(start),
        None => channel == pattern,
    }
}

fn secret() -> Result<String, String> {
    static WARNED: AtomicBool = AtomicBool::new(false);
    match config::get("secret") {
        Some(secret) if secret.is_empty() => {
            error!("The setting `secret` is empty: no token is accepted.");
            Err("The server cannot check tokens.".to_owned())
        }
        Some(secret) => Ok(secret),
        None => {
            if !WARNED.swap(true, Ordering::Relaxed) {
                warn!(
                    "The setting `secret` is missing: tokens are checked with the development secret, which anyone knows."
                );
            }
            Ok(DEVELOPMENT_SECRET.to_owned())
        }
    }
}

tidegate_guest::export!(
    auth: TokenAuth,
    info: { version: env!("CARGO_PKG_VERSION"), summary: "Users by JSON Web Token (HS256)." },
);

#[cfg(test)]
mod tests {
    use super::*;

    fn authenticate(token: &str) -> Result<Identity, String> {
        TokenAuth::authenticate(&Handshake::for_test(Some(token)))
    }

    fn token(claims: &str) -> String {
        token::sign(r#"{"alg":"HS256","typ":"JWT"}"#, claims, DEVELOPMENT_SECRET.as_bytes())
    }

    fn refusal(token: &str) -> String {
        authenticate(token).unwrap_err()
    }

    #[test]
    fn names_the_user_of_a_signed_token() {
        assert_eq!(authenticate(&token(r#"{"sub":"ada"}"#)), Ok(Identity::user("ada")));
    }

    #[test]
    fn accepts_a_token_that_another_library_signed() {
        config::set_for_test("secret", "your-256-bit-secret");
        let token = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.\
             eyJzdWIiOiIxMjM0NTY3ODkwIiwibmFtZSI6IkpvaG4gRG9lIiwiaWF0IjoxNTE2MjM5MDIyfQ.\
             SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJV_adQssw5c";
        assert_eq!(authenticate(token), Ok(Identity::user("1234567890")));
    }

    #[test]
    fn hands_the_expiry_to_the_server_in_milliseconds() {
        let expiry = |claims: &str| authenticate(&token(claims)).unwrap().expires_at_ms;
        assert_eq!(expiry(r#"{"sub":"ada","exp":1700000000}"#), Some(1_700_000_000_000));
        assert_eq!(expiry(r#"{"sub":"ada","exp":1.5}"#), Some(1_500));
        assert_eq!(expiry(r#"{"sub":"ada","exp":-1}"#), Some(0));
    }

    #[test]
    fn keeps_a_user_to_the_channels_of_the_token() {
        let allowed = |claims: &str, channel: &str| {
            let who = authenticate(&token(claims)).unwrap();
            TokenAuth::authorize(&who, Action::Publish, &channel.into()).is_granted()
        };
        let some = r#"{"sub":"ada","channels":["chat:*","news"]}"#;
        assert!(allowed(some, "chat:lobby"));
        assert!(allowed(some, "news"));
        assert!(!allowed(some, "newsroom"));
        assert!(!allowed(some, "chat"));
        assert!(allowed(r#"{"sub":"ada"}"#, "anything"));
        assert!(!allowed(r#"{"sub":"ada","channels":[]}"#, "anything"));
    }

    #[test]
    fn keeps_a_users_own_channels_to_that_user() {
        let allowed = |who: &Identity, user: &str| {
            let channel = ChannelName::from(format!("inbox.{user}").as_str()).with("user", user);
            TokenAuth::authorize(who, Action::Subscribe, &channel).is_granted()
        };
        let ada = authenticate(&token(r#"{"sub":"ada"}"#)).unwrap();
        assert!(allowed(&ada, "ada") && !allowed(&ada, "bob"));
        assert!(!allowed(&Identity::anonymous(), "ada"));
        let only_chat = authenticate(&token(r#"{"sub":"ada","channels":["chat:*"]}"#)).unwrap();
        assert!(!allowed(&only_chat, "ada"), "both must hold");
    }

    #[test]
    fn says_what_is_wrong_with_a_token() {
        let signed = token(r#"{"sub":"ada"}"#);
        let (unsigned, signature) = signed.rsplit_once('.').unwrap();
        assert_eq!(refusal("nonsense"), "The token is malformed.");
        assert_eq!(refusal(""), "The token is malformed.");
        assert_eq!(refusal(&format!("{signed}.more")), "The token is malformed.");
        assert_eq!(refusal(&format!("{unsigned}.")), "The token's signature does not match.");
        assert_eq!(refusal(&format!("{unsigned}x.{signature}")), "The token's signature does not match.");
        assert_eq!(refusal(&token(r#"{"name":"ada"}"#)), "The token has no 'sub'.");
        assert_eq!(refusal(&token(r#"{"sub":""}"#)), "The token has no 'sub'.");
        assert_eq!(refusal(&token("[]")), "The token is malformed.");
    }

    #[test]
    fn takes_no_other_algorithm() {
        let claims = r#"{"sub":"ada"}"#;
        for header in [r#"{"alg":"none"}"#, r#"{"alg":"HS512"}"#] {
            let token = token::sign(header, claims, DEVELOPMENT_SECRET.as_bytes());
            assert_eq!(refusal(&token), "The token's algorithm must be HS256.");
        }
    }

    #[test]
    fn takes_only_tokens_of_the_configured_secret() {
        config::set_for_test("secret", "another");
        assert_eq!(refusal(&token(r#"{"sub":"ada"}"#)), "The token's signature does not match.");
        config::set_for_test("secret", "");
        assert_eq!(refusal(&token(r#"{"sub":"ada"}"#)), "The server cannot check tokens.");
    }

    #[test]
    fn lets_clients_without_a_token_in_unless_told_otherwise() {
        let anonymous = || TokenAuth::authenticate(&Handshake::for_test(None));
        assert_eq!(anonymous(), Ok(Identity::anonymous()));
        config::set_for_test("anonymous", "false");
        assert_eq!(anonymous(), Err("A token is required.".to_owned()));
    }
}
