// The contract in TypeScript, for componentize-qjs. Written by the tests from the WIT beside it: see
// the_types_for_typescript_are_those_of_the_contract.
/** The plugin's own settings: `[plugins.NAME.config]` of the server's configuration. Granted to every plugin. */
declare module "tidegate:plugin/config@0.1.0" {
  /** A setting by its key: a string as it is, anything else as JSON text; none where it is not set. */
  export function get(key: string): string | null;
  export {};
}
/**
 * Optional: what a plugin says of itself. Without it a plugin's version is
 * empty and a channel handler in `chat.wasm` handles `chat:*`.
 */
declare module "tidegate:plugin/info@0.1.0" {
  export interface About {
    /** Shown in the log and by `GET /api/plugins`. */
    version: string;
    summary: string;
    /**
     * Patterns of the channels that the handler is for; empty: `NAME:*`.
     * `*` stands for the rest of the name. The server's configuration may override it.
     */
    channels: string[];
  }
  /** Once, when the plugin is loaded. */
  export function describe(): About;
  export {};
}
/** Writes to the server's log, marked with the plugin's name and version. Granted to every plugin. */
declare module "tidegate:plugin/log@0.1.0" {
  export type Level = "trace" | "debug" | "info" | "warn" | "error";
  /**
   * A line. Longer than 1,024 bytes it is cut; past 200 lines a second of one
   * instance the rest of that second is counted, and the count is logged.
   */
  export function write(level: Level, text: string): void;
  export {};
}
/**
 * Keys and values of the plugin's own, the same for all its instances. They outlive reloads and
 * failures, and with the setting `state_dir` a server that is asked to end; not its crash. Granted to
 * every plugin.
 *
 * Unlike effects, what is written stays written when the call fails later. At most 64 calls of these
 * in one call of the plugin.
 */
declare module "tidegate:plugin/store@0.1.0" {
  export type Failure =
    /** A key is 1 to 256 bytes, a value at most 64 KiB; this many were given. */
    | { tag: "too-large"; val: number }
    /** The plugin's share is full (`store_bytes`, `store_keys`). */
    | { tag: "full" }
    /** Not a whole number in decimal digits, or past the limits of `s64`. */
    | { tag: "not-a-number" }
    /** Too many calls in one call of the plugin. */
    | { tag: "too-many-calls" };
  export function get(key: string): Uint8Array | null;
  /** `ttl-ms`: gone after so long; none: it stays. */
  export function set(key: string, value: Uint8Array, ttlMs: number | null): void;
  /** Was there one? */
  function delete_(key: string): boolean;
  export { delete_ as delete };
  /**
   * Adds to a number in decimal digits, one that is not there being 0, and gives the sum. A new one
   * gets this time to live, one that was there keeps its own.
   */
  export function increment(key: string, by: number, ttlMs: number | null): number;
  /** Sets it if it is still `expected` (none: not there); none for `value` deletes it. Was it? */
  export function compareAndSet(key: string, expected: Uint8Array | null, value: Uint8Array | null, ttlMs: number | null): boolean;
  export {};
}
/** Where the call comes from, for those who follow requests through several services. Granted to every plugin. */
declare module "tidegate:plugin/trace@0.1.0" {
  /**
   * The `traceparent` (W3C Trace Context) of the request that brought about this call, if it had one.
   * The server hands it on by itself with what the plugin publishes and the requests it makes.
   */
  export function current(): string | null;
  export {};
}
/**
 * Plain data that the other interfaces share. No resources and no functions:
 * importing it grants nothing.
 */
declare module "tidegate:plugin/types@0.1.0" {
  /**
   * One connection, for as long as it lives. Never reused while the server runs; below 2^53, so
   * that it is exact as a floating-point number too.
   */
  export type ClientId = number;
  /** What the bytes of a payload are. A `json` payload is one JSON value, already checked. */
  export type PayloadKind = "json" | "text" | "binary";
  /**
   * Who is asking: the connection, and the user it stands for. An anonymous
   * client's user is its client id in hexadecimal.
   */
  export interface Caller {
    client: ClientId;
    user: string;
  }
  /**
   * What the `{captures}` in a channel's patterns took of its name: those of the
   * `[[channel]]` rule that holds for it and of the route to its handler, each name
   * once. Where both have a name, the rule's counts: the operator's word over the plugin's.
   */
  export type Captures = [string, string][];
  /**
   * A refusal. The client gets an error with code `rejected`, `reason` as its
   * message and `code` as its `reason_code`; both are the plugin's own.
   */
  export interface Denial {
    code: number;
    reason: string;
  }
  /** Why a read (`presence`, `history`, `groups`) gave nothing. */
  export type ReadFailure =
    /** Not a name of a channel or group, and why. */
    | { tag: "bad-name"; val: string }
    /**
     * The shard that knows did not answer in time, or too much was asked in one call of the
     * plugin: at most 64 reads.
     */
    | { tag: "unavailable"; val: string };
  /** Which of a channel's subscribers get a publication. */
  export type Audience =
    | { tag: "all" }
    /** All but this client. */
    | { tag: "others"; val: ClientId }
    /**
     * Those of these clients that have subscribed; at most 1,024 are named. It comes in the channel's
     * order, but is not kept and has no offset.
     */
    | { tag: "only"; val: ClientId[] | BigUint64Array };
  /** A message to a channel, as from the server itself: no sender. */
  export interface Publication {
    channel: string;
    /** An empty one counts as none. */
    event: string | null;
    kind: PayloadKind;
    payload: Uint8Array;
    to: Audience;
  }
  export type Recipient =
    /** The client sees it as a message of the channel whose handler sent it. */
    | { tag: "client"; val: ClientId }
    /**
     * All connections of a user: a publication to its own channel, `$user:ID`, where it also
     * waits for a user who is away, if the configuration says so.
     */
    | { tag: "user"; val: string };
  /** A message outside the channel's order: it has no offset. */
  export interface Direct {
    to: Recipient;
    /** An empty one counts as none. */
    event: string | null;
    kind: PayloadKind;
    payload: Uint8Array;
  }
  /** Ends a client's connection with close code 4003 and this reason. */
  export interface Dismissal {
    client: ClientId;
    reason: string;
  }
  /** A client and a channel that it is to be in. */
  export interface Subscription {
    client: ClientId;
    channel: string;
    /** JSON, as if the client had sent it. */
    params: Uint8Array | null;
  }
  /** A client's place in a channel. */
  export interface Place {
    client: ClientId;
    channel: string;
  }
  /**
   * A client and what its user is seen with among a channel's members. Who joins need not have
   * subscribed.
   */
  export interface Member {
    client: ClientId;
    channel: string;
    /** JSON. */
    data: Uint8Array | null;
  }
  /** A channel in a group. */
  export interface Grouping {
    group: string;
    channel: string;
  }
  /**
   * A figure of the plugin's own, shown by `/metrics` with the plugin's name. A name is 1 to 64
   * letters, digits and `_`; past 64 names a plugin, those that come later are dropped and logged.
   */
  export interface Metric {
    name: string;
    value: number;
  }
  /**
   * Wakes the handler's channel: `on-timer` is called with this id. One that is set
   * again starts anew. A channel has at most 64 that run; they go on over a reload,
   * and a channel that has one is not forgotten for being idle. Only handlers have them.
   */
  export interface Timer {
    id: number;
    /** Milliseconds from now; less than 10 count as 10. */
    afterMs: number;
  }
  /**
   * What the server is to do because of a call. Effects are returned, never
   * called: all are applied once the call has ended well, in their order,
   * and none if it traps.
   *
   * A publication to the handler's own channel is not handed to that handler
   * again; one to another channel passes that channel's own handler. All that
   * one message sets off, however far it spreads, is at most 1,024
   * publications; what is beyond that is dropped and logged. One call returns
   * at most 256 effects, each payload at most 64 KiB; more is a failure.
   */
  export type Effect =
    | { tag: "publish"; val: Publication }
    /**
     * Into the channel's history, with an offset, for those who come back or ask; nobody gets it
     * now. Its audience must be `all`.
     */
    | { tag: "persist"; val: Publication }
    | { tag: "send"; val: Direct }
    /**
     * As if the client had asked: the channel's handler is, auth plugins are not, and the client is
     * told what came of it.
     */
    | { tag: "subscribe"; val: Subscription }
    /** The client is told. */
    | { tag: "unsubscribe"; val: Place }
    | { tag: "kick"; val: Dismissal }
    | { tag: "join"; val: Member }
    | { tag: "leave"; val: Place }
    | { tag: "group-add"; val: Grouping }
    | { tag: "group-discard"; val: Grouping }
    /** Adds to a counter; not negative. */
    | { tag: "count"; val: Metric }
    /** Sets a gauge. */
    | { tag: "gauge"; val: Metric }
    | { tag: "set-timer"; val: Timer }
    /** By its id; none that runs is no error. */
    | { tag: "cancel-timer"; val: number };
  export {};
}
/** Functions that clients call by name. One instance a shard. */
declare module "tidegate:plugin/actions@0.1.0" {
  export type Caller = import("tidegate:plugin/types@0.1.0").Caller;
  export type Denial = import("tidegate:plugin/types@0.1.0").Denial;
  export type Effect = import("tidegate:plugin/types@0.1.0").Effect;
  export interface Reply {
    /** One JSON value. */
    data: Uint8Array;
    effects: Effect[];
  }
  /**
   * Once, when the plugin is loaded: the names it answers to, 1 to 64 of them.
   * A name that two plugins offer belongs to the first in the order of their names.
   */
  export function names(): string[];
  /**
   * A client calls; `data` is JSON (`null` where it sent none). May take 20 ms.
   * A denial applies no effects.
   */
  export function call(name: string, who: Caller, data: Uint8Array): Reply;
  export {};
}
/**
 * Who a connection is, and what it may do. One instance a shard (a shard is
 * one thread with its share of the connections): keep nothing in it that all
 * connections must see.
 *
 * With several auth plugins every one is asked, in the order of their names:
 * the first that refuses decides, the first name is the user's, the earliest
 * end holds, and each gets back its own claims.
 * A call that traps or takes longer than 50 ms is a refusal.
 */
declare module "tidegate:plugin/auth@0.1.0" {
  export type Captures = import("tidegate:plugin/types@0.1.0").Captures;
  /** What the client sent when it connected. */
  export interface Handshake {
    path: string;
    /** As in the URL, without the `?`; empty for none. */
    query: string;
    /** Names in lower case, without `authorization` and `cookie`. */
    headers: [string, string][];
    /**
     * The bearer token, wherever it came from (header, query, subprotocol or an
     * `auth` frame); none if it has shown none.
     */
    token: string | null;
    /** The address and port of the other end. */
    peer: string;
  }
  export interface Identity {
    /** Empty: an anonymous client, whose user is its client id. */
    user: string;
    /**
     * Handed back to this plugin's `authorize` as they are; the server does not
     * read them.
     */
    claims: [string, string][];
    /**
     * Unix time in milliseconds at which the identity ends: the client is told
     * 30 s before, and closed with 4001 then unless it has sent a new token. A
     * time in the past ends it at once: a plugin has no clock, the server has.
     */
    expiresAtMs: number | null;
  }
  export interface Refusal {
    reason: string;
  }
  export type Action = "subscribe" | "publish";
  export type Permission =
    /** For as long as the identity and this version of the plugin hold. */
    | { tag: "granted" }
    /**
     * For so many seconds, at least 1; then the plugin is asked again, and a subscription that it
     * no longer allows ends with its reason.
     */
    | { tag: "granted-for"; val: number }
    /** The client gets `permission_denied`, with the reason unless that is empty. */
    | { tag: "refused"; val: string };
  /**
   * Once a connection, before anything else it asks for, and again for each
   * `auth` frame. A refusal closes the connection with 4001 and the reason; one
   * of a client without a token waits up to ten seconds for its `auth` frame.
   */
  export function authenticate(request: Handshake): Identity;
  /**
   * Before a subscription, and before the first publish of a connection to a
   * channel (the answer is kept for that connection and channel until it
   * authenticates anew or an auth plugin is replaced). Asked again for what is subscribed when a new
   * version of an auth plugin comes, and by `POST /api/reauthorize`.
   */
  export function authorize(who: Identity, action: Action, channel: string, captures: Captures): Permission;
  export {};
}
/**
 * The logic of channels. A live channel is one `channel` resource on one
 * thread; calls to it never overlap and come in the channel's order. It lives
 * in a store of its own, or, beyond the plugin's limit of stores, in one that
 * channels share; after a trap its store is gone and `open` is called anew.
 *
 * After a reload the channel moves before its next message: `save` of the old
 * version, `open` of the new one with what it gave. Where the new version refuses
 * that, the old one goes on for this channel, until the next reload. A channel that
 * nobody calls for a while (`hibernate_after_secs`) is saved and dropped, if it gives
 * anything to save, and opened again when it is called; with the setting `state_dir`
 * also where the server is asked to end and started again meanwhile. An instance that
 * refuses then begins the channel anew: `open` is called without the snapshot.
 *
 * Where several plugins handle a channel, each has a resource of its own and is asked
 * in its turn: by the operator's `order`, then by name. A message goes to the first,
 * what that makes of it to the next; the first that drops or denies it ends the
 * round. A subscription needs the leave of all; a handler that had let it in hears
 * `on-unsubscribe` (`removed`) where a later one refuses. The effects of all that were
 * asked are applied together, in that order, and none where one call fails.
 *
 * A call may take 20 ms (`open` 100 ms). One that takes longer than 1 ms does
 * not hold up other channels, but for the first `on-publish` in a minute of a plugin that
 * has been quick a thousand times.
 */
declare module "tidegate:plugin/channel-handler@0.1.0" {
  export type Caller = import("tidegate:plugin/types@0.1.0").Caller;
  export type Captures = import("tidegate:plugin/types@0.1.0").Captures;
  export type Denial = import("tidegate:plugin/types@0.1.0").Denial;
  export type Effect = import("tidegate:plugin/types@0.1.0").Effect;
  export type PayloadKind = import("tidegate:plugin/types@0.1.0").PayloadKind;
  export interface Message {
    /**
     * None for a message from the server's own API or from another handler. Where the API
     * names a user, `client` is 0: no connection's id.
     */
    sender: Caller | null;
    event: string | null;
    kind: PayloadKind;
    payload: Uint8Array;
    /** Unix time in milliseconds at which the server took the message. */
    atMs: number;
  }
  export type Verdict =
    /** Deliver as it is. */
    | { tag: "pass" }
    /** Deliver this payload instead, of the same kind. */
    | { tag: "replace"; val: Uint8Array }
    /** Deliver nothing; the sender is not told. */
    | { tag: "drop" }
    /** Deliver nothing; the sender gets the refusal. */
    | { tag: "deny"; val: Denial };
  export interface Outcome {
    verdict: Verdict;
    /** Applied after the message itself, and also when it is dropped or denied. */
    effects: Effect[];
  }
  /** A message for one new subscriber, outside the channel's order: it has no offset. */
  export interface Response {
    /** An empty one counts as none. */
    event: string | null;
    kind: PayloadKind;
    payload: Uint8Array;
  }
  export interface Acceptance {
    /**
     * Where it was asked for: what the subscriber gets after `subscribed` and what it
     * missed, before anything newer. None: what the rule has for that case, if anything.
     */
    response: Response | null;
    /** Applied after the subscription. */
    effects: Effect[];
  }
  export type Departure =
    /** It asked to leave. */
    | "left"
    /** Its connection has ended. */
    | "disconnected"
    /** Its identity has come to its end. */
    | "expired"
    /** The server, a plugin or a judgement of an auth plugin has ended its subscription or connection. */
    | "removed";
  export interface Channel {
    /**
     * All that the channel must not lose, at most 1 MiB. None: it keeps nothing that
     * matters; then it is opened anew after a reload, and not dropped when it is idle.
     */
    save(): Uint8Array | null;
    /**
     * A client asks to subscribe; `params` is the JSON of its `data`, none if
     * it sent none. `respond`: the channel's rule wants a default response; without
     * it a response is not delivered, nor to a client that has come back and
     * recovered all it missed. An error refuses the subscription and applies no effect.
     */
    onSubscribe(who: Caller, params: Uint8Array | null, respond: boolean): Acceptance;
    /** A message is published, by a subscriber or not. */
    onPublish(message: Message): Outcome;
    /**
     * A subscriber is no longer one. Where its connection has ended and the plugin's settings have a
     * `leave_grace_secs`, only once its user has not come back to the channel for so long.
     */
    onUnsubscribe(who: Caller, why: Departure): Effect[];
    /** A timer that the channel has set is over. */
    onTimer(id: number): Effect[];
  }
  export const Channel: {
    /**
     * On first use of a channel that the plugin's routes match. An error makes
     * the client's request fail with `plugin_failed`; it is tried again with
     * the next request.
     * `snapshot`: what `save` gave, of this version or another one. An error then
     * means that this version cannot go on from it.
     */
    open(name: string, captures: Captures, snapshot: Uint8Array | null): Channel;
  };
  export {};
}
/**
 * Which subscribers get a message. A subscription names a filter plugin and
 * its parameters; equal parameters are one filter, however many subscribers
 * have it. One instance a shard, and a message is judged once a filter.
 *
 * Filters should only read what they are given. A call may take 5 ms; where
 * it traps or is late, filters are judged one by one. A message that a filter
 * could not judge is not delivered to its subscribers, unless the channel's
 * rule has `filter_failure = "open"` (without: `"closed"`); the same holds while
 * the plugin is gone or in quarantine.
 */
declare module "tidegate:plugin/filter@0.1.0" {
  export type PayloadKind = import("tidegate:plugin/types@0.1.0").PayloadKind;
  /**
   * Messages packed for one crossing into the plugin. Message m has event
   * `data[ends[2m-1] .. ends[2m]]` and payload `data[ends[2m] .. ends[2m+1]]`,
   * the first starting at 0, and kind `kinds[m]`.
   */
  export interface Batch {
    kinds: PayloadKind[];
    ends: number[];
    data: Uint8Array;
  }
  /**
   * Makes a filter of subscription parameters (JSON; `null` where the client
   * gave none) and answers with an id of the plugin's choice. An error refuses
   * the subscription with `invalid_params` and this text. The same parameters
   * are added again to a fresh instance after a trap or a reload.
   */
  export function add(params: Uint8Array): number;
  /** The last subscriber with this filter is gone. */
  export function remove(id: number): void;
  /**
   * Bit `m * len(ids) + i`, counted from the lowest bit of the first word: does
   * message m pass filter `ids[i]`? Missing words count as zeros.
   */
  export function evaluate(ids: number[], messages: Batch): number[] | BigUint64Array;
  export {};
}
/** Groups of channels. Only reads: to change them return effects. Granted to every plugin. */
declare module "tidegate:plugin/groups@0.1.0" {
  export type ReadFailure = import("tidegate:plugin/types@0.1.0").ReadFailure;
  /** Its channels, in the order of their names; none of a group that is not there. */
  export function channels(group: string): string[];
  export {};
}
/** What channels have kept. Granted to every plugin. */
declare module "tidegate:plugin/history@0.1.0" {
  export type PayloadKind = import("tidegate:plugin/types@0.1.0").PayloadKind;
  export type ReadFailure = import("tidegate:plugin/types@0.1.0").ReadFailure;
  export interface Past {
    offset: number;
    event: string | null;
    kind: PayloadKind;
    payload: Uint8Array;
    /** Unix time in milliseconds. */
    atMs: number;
  }
  /** The newest, at most `limit` and 256 of them and 1 MiB together, oldest first. */
  export function last(channel: string, limit: number): Past[];
  /** Those after an offset, the oldest of them first; bounded the same. */
  export function since(channel: string, offset: number, limit: number): Past[];
  export {};
}
/** Who is in a channel. Only reads: to change it return effects. Granted to every plugin. */
declare module "tidegate:plugin/presence@0.1.0" {
  export type ReadFailure = import("tidegate:plugin/types@0.1.0").ReadFailure;
  export interface Present {
    user: string;
    /** JSON, as the client or plugin that let it join gave it. */
    data: Uint8Array | null;
    /** Unix time in milliseconds. */
    joinedAtMs: number;
    connections: number;
  }
  /** At most 1,000 of them, those that came first. */
  export function members(channel: string): Present[];
  export function count(channel: string): number;
  export {};
}
