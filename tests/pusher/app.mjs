// An application beside the server: signs what its own back end would sign, publishes by the
// server's API, and makes clients with the protocol's own library.

import { createHash, createHmac, randomBytes } from "node:crypto";
import Pusher from "pusher-js";
import nacl from "tweetnacl";

const BOUND_MS = Number(process.env.BOUND_MS ?? 10_000);
const [KEY, SECRET] = process.env.PUSHER_APP.split(":");
const SERVER = new URL(process.env.PUSHER_SERVER);
const MASTER_KEY = randomBytes(32);

const hmac = (text) => createHmac("sha256", SECRET).update(text).digest("hex");
export const signed = (text) => `${KEY}:${hmac(text)}`;
const secretOf = (channel) => createHash("sha256").update(channel).update(MASTER_KEY).digest();

/// What the application answers to a client that asks for a channel.
export function authorize(user) {
  return ({ channelName, socketId }, callback) => {
    const answer = {};
    let text = `${socketId}:${channelName}`;
    if (channelName.startsWith("presence-") && user) {
      answer.channel_data = JSON.stringify({ user_id: user.id, user_info: user.user_info });
      text += `:${answer.channel_data}`;
    }
    if (channelName.startsWith("private-encrypted-")) {
      answer.shared_secret = secretOf(channelName).toString("base64");
    }
    callback(null, { auth: signed(text), ...answer });
  };
}

export function authenticate(user) {
  return ({ socketId }, callback) => {
    const user_data = JSON.stringify(user);
    callback(null, { auth: signed(`${socketId}::user::${user_data}`), user_data });
  };
}

/// A client; `user` is who the application takes it for.
export function client(user, options = {}) {
  const pusher = new Pusher(options.key ?? KEY, {
    cluster: "",
    wsHost: SERVER.hostname,
    wsPort: SERVER.port,
    forceTLS: false,
    enabledTransports: ["ws"],
    enableStats: false,
    channelAuthorization: { customHandler: authorize(user) },
    userAuthentication: { customHandler: authenticate(user) },
    ...options,
  });
  open.add(pusher);
  return pusher;
}

const open = new Set();

export function closeAll() {
  open.forEach((pusher) => pusher.disconnect());
  open.clear();
}

export function within(what, promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no ${what} within ${BOUND_MS} ms`)), BOUND_MS);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/// The next event of that name, and what is said beside it.
export function eventAndMore(source, name) {
  return within(
    name,
    new Promise((resolve) => {
      const heard = (data, metadata) => {
        source.unbind(name, heard);
        resolve({ data, metadata });
      };
      source.bind(name, heard);
    }),
  );
}

export const event = async (source, name) => (await eventAndMore(source, name)).data;

export async function connected(pusher) {
  if (pusher.connection.state !== "connected") await event(pusher.connection, "connected");
  return pusher;
}

/// A subscription that has succeeded.
export async function subscribed(pusher, name) {
  const channel = pusher.subscribe(name);
  if (!channel.subscribed) await event(channel, "pusher:subscription_succeeded");
  return channel;
}

/// As `pusher.trigger` of a server SDK would: `data` is a text, and JSON mostly.
export async function publish(channel, name, data) {
  const payload = typeof data === "string" ? { text: data } : { data };
  const answer = await fetch(new URL("/api/publish", SERVER), {
    method: "POST",
    body: JSON.stringify({ channel, event: name, ...payload }),
  });
  if (!answer.ok) throw new Error(`${answer.status}: ${await answer.text()}`);
}

/// Ends a client's connection.
export async function disconnect(socketId) {
  const client = BigInt(socketId.split(".")[1]).toString(16).padStart(16, "0");
  const body = JSON.stringify({ client });
  const answer = await fetch(new URL("/api/disconnect", SERVER), { method: "POST", body });
  if (!answer.ok) throw new Error(`${answer.status}: ${await answer.text()}`);
}

export function encrypted(channel, data) {
  const nonce = randomBytes(nacl.secretbox.nonceLength);
  const ciphertext = nacl.secretbox(Buffer.from(JSON.stringify(data)), nonce, secretOf(channel));
  return { nonce: nonce.toString("base64"), ciphertext: Buffer.from(ciphertext).toString("base64") };
}

/// Whatever was under way has come, or never will: a round trip behind it.
export async function settled(...clients) {
  for (const pusher of clients) {
    const name = `settled-${Math.random().toString(36).slice(2)}`;
    await subscribed(pusher, name);
    pusher.unsubscribe(name);
  }
}
