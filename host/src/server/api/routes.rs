//! The table of the API's calls. One more is one more entry: path, method and both types are
//! read from it by the router and by `/api/openapi.json`.

use hyper::Method;

use super::body::BodySize;
use super::route::Route;
use super::{
    batch, channels, connections, groups, info, openapi, orders, past, presence, publish, record, send,
    versions,
};
use crate::config::Grant;

const HISTORY: &str = "/api/channels/{channel}/history";
const PRESENCE: &str = "/api/channels/{channel}/presence";
const GROUPED: &str = "/api/groups/{group}/{channel}";

/// Of two routes that match a path the first is taken.
pub fn all() -> Vec<Route> {
    vec![
        Route::post("/api/publish", "publish", "Publishes a message to a channel", publish::publish)
            .needs(Grant::Publish),
        Route::post(
            "/api/broadcast",
            "broadcast",
            "Publishes a message to many channels",
            publish::broadcast,
        )
        .needs(Grant::Publish)
        .body(BodySize::Broadcast),
        Route::post("/api/send", "send", "Sends a message to one client or one user", send::send)
            .needs(Grant::Publish),
        Route::post("/api/batch", "batch", "Does many commands in their order", batch::batch)
            .for_any_key()
            .body(BodySize::Batch),
        Route::post("/api/subscribe", "subscribe", "Subscribes clients to a channel", orders::subscribe),
        Route::post("/api/unsubscribe", "unsubscribe", "Ends clients' subscriptions", orders::unsubscribe),
        Route::post("/api/disconnect", "disconnect", "Closes clients' connections", orders::disconnect),
        Route::post("/api/refresh", "refresh", "Gives clients' identities a new end", orders::refresh),
        Route::post(
            "/api/reauthorize",
            "reauthorize",
            "Has auth plugins judge clients' subscriptions again",
            orders::reauthorize,
        ),
        Route::get("/api/channels", "listChannels", "Channels in use, by name", channels::list),
        Route::get(HISTORY, "readHistory", "Messages that a channel keeps", past::read),
        Route::with_query(
            Method::DELETE,
            HISTORY,
            "clearHistory",
            "Forgets a channel's messages",
            past::clear,
        )
        .needs(Grant::Manage),
        Route::get(PRESENCE, "listMembers", "Who is in a channel", presence::list),
        Route::with_query(
            Method::DELETE,
            PRESENCE,
            "clearMembers",
            "Everybody leaves a channel",
            presence::clear,
        )
        .needs(Grant::Manage),
        Route::get("/api/groups/{group}", "listGroup", "The channels of a group", groups::list),
        Route::with_query(Method::PUT, GROUPED, "addToGroup", "Puts a channel into a group", groups::add)
            .needs(Grant::Manage),
        Route::with_query(Method::DELETE, GROUPED, "discardFromGroup", "Takes it out again", groups::discard)
            .needs(Grant::Manage),
        Route::post(
            "/api/groups/{group}/publish",
            "publishToGroup",
            "Publishes a message to a group's channels",
            groups::publish,
        )
        .needs(Grant::Publish),
        Route::get("/api/connections", "listConnections", "Clients, by id", connections::list),
        Route::get("/api/connections/{id}", "getConnection", "One client and its channels", connections::one),
        Route::get("/api/plugins", "listPlugins", "Plugins, their swaps and errors", info::plugins),
        Route::post(
            "/api/plugins/{name}/record",
            "recordPlugin",
            "A plugin's calls as they come, for a while",
            record::record,
        ),
        Route::with_query(
            Method::POST,
            "/api/plugins/{name}/rollback",
            "rollBackPlugin",
            "Goes back to a plugin's version before, or ends a trial",
            versions::roll_back,
        )
        .needs(Grant::Manage),
        Route::with_query(
            Method::POST,
            "/api/plugins/{name}/resume",
            "resumePlugin",
            "Lets a plugin out of quarantine",
            versions::resume,
        )
        .needs(Grant::Manage),
        Route::get("/api/info", "getInfo", "The server and what it holds", info::info),
        Route::get("/api/openapi.json", "getOpenapi", "This description", openapi::document).for_any_key(),
    ]
}
