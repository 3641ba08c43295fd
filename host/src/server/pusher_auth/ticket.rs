//! What a client is given to show: the application's signature under what the auth plugins, or
//! `[jwt]`, say of it.

use std::rc::Rc;

use serde::Serialize;
use serde_json::value::RawValue;

use super::super::api::ApiError;
use super::form::Form;
use crate::core::apps::{Access, ChannelKind, MAX_USER};
use crate::plugin::{AuthAction, Handshake, Identity};

use crate::session::Context;
use crate::session::pusher::{App, Judged, judge};

/// The claim of a plugin's that others see of a user: JSON.
const USER_INFO: &str = "user_info";

#[derive(Serialize)]
struct ChannelTicket {
    auth: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    channel_data: Option<String>,
}

#[derive(Serialize)]
struct UserTicket {
    auth: String,
    user_data: String,
}

#[derive(Serialize)]
struct Member<'a> {
    user_id: &'a str,
    user_info: UserInfo<'a>,
}

#[derive(Serialize)]
struct User<'a> {
    id: &'a str,
    user_info: UserInfo<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum UserInfo<'a> {
    Said(&'a RawValue),
    /// Libraries want an object there.
    Own {
        id: &'a str,
    },
}

/// Lets a client into a private or presence channel.
pub async fn channel(
    context: &Rc<Context>,
    app: &App,
    handshake: &Handshake,
    form: &Form,
) -> Result<String, ApiError> {
    let (socket_id, name) = (socket_id(context, form)?, form.channel_name()?);
    let channel = app.channel(name).map_err(|error| ApiError::invalid(format!("channel_name: {error}")))?;
    let kind = ChannelKind::of(name);
    match kind.access {
        Access::Private | Access::Presence => {}
        Access::Public | Access::User => {
            return Err(ApiError::forbidden("Nobody is let into this channel by a signature."));
        }
        Access::Encrypted => {
            let says = "An encrypted channel wants an endpoint of the application's own, which has its key.";
            return Err(ApiError::forbidden(says));
        }
    }
    let identity = allowed(judge(context, handshake, Some((AuthAction::Subscribe, &channel))).await?)?;
    let user = user_of(&identity)?;
    let channel_data = match kind.access {
        Access::Presence => {
            let member = Member { user_id: user, user_info: user_info(&identity) };
            Some(json(&member, app.limits.member_bytes)?)
        }
        _ => None,
    };
    let signature = app.signing.channel(socket_id, name, channel_data.as_deref());
    json(&ChannelTicket { auth: format!("{}:{signature}", app.key), channel_data }, usize::MAX)
}

/// Signs a client in.
pub async fn user(
    context: &Rc<Context>,
    app: &App,
    handshake: &Handshake,
    form: &Form,
) -> Result<String, ApiError> {
    let socket_id = socket_id(context, form)?;
    let identity = allowed(judge(context, handshake, None).await?)?;
    let user = User { id: user_of(&identity)?, user_info: user_info(&identity) };
    let user_data = json(&user, app.limits.member_bytes)?;
    let signature = app.signing.user(socket_id, &user_data);
    json(&UserTicket { auth: format!("{}:{signature}", app.key), user_data }, usize::MAX)
}

fn socket_id<'a>(context: &Context, form: &'a Form) -> Result<&'a str, ApiError> {
    let id = form.socket_id()?;
    // Whose it is, the signature says: nobody else can use it.
    context.apps.client(id).map_err(|error| ApiError::invalid(format!("socket_id: {error}")))?;
    Ok(id)
}

fn allowed(judged: Judged) -> Result<Identity, ApiError> {
    match judged {
        Judged::Allowed(identity, _) => Ok(identity),
        Judged::Refused(reason) => Err(ApiError::forbidden(&reason)),
        Judged::Unasked => Err(ApiError::forbidden(
            "Nobody here can say who a client is: load an auth plugin, or configure [jwt].",
        )),
    }
}

fn user_of(identity: &Identity) -> Result<&str, ApiError> {
    match identity.user.as_str() {
        "" => Err(ApiError::forbidden("A token is required that names a user: Authorization: Bearer TOKEN")),
        user if user.chars().nth(MAX_USER).is_some() => {
            Err(ApiError::forbidden(&format!("The user's name has more than {MAX_USER} characters.")))
        }
        user => Ok(user),
    }
}

fn user_info(identity: &Identity) -> UserInfo<'_> {
    let said = identity.claim(USER_INFO).and_then(|text| serde_json::from_str(text).ok());
    said.map_or(UserInfo::Own { id: &identity.user }, UserInfo::Said)
}

/// At most so many bytes.
fn json(value: &impl Serialize, most: usize) -> Result<String, ApiError> {
    let text = serde_json::to_string(value);
    let text = text.map_err(|error| ApiError::unavailable(format!("The answer has no JSON: {error}.")))?;
    if text.len() > most {
        return Err(ApiError::forbidden(&format!("The user's data has more than {most} bytes.")));
    }
    Ok(text)
}
