// The SDK for Node, unmodified: what it triggers, asks and signs, with the protocol's own client at
// the other end.

import assert from "node:assert/strict";
import { createServer } from "node:http";
import { after, afterEach, before, test } from "node:test";
import Pusher from "pusher";
import { client, closeAll, connected, event, settled, subscribed, within } from "./app.mjs";
import { authenticate, authorize, backend, read } from "./backend.mjs";

const ADA = { id: "ada", user_info: { name: "Ada" } };
const BOB = { id: "bob", user_info: { name: "Bob" } };

/// What webhooks have brought, by the SDK's own reading.
const told = [];
const hooks = createServer((request, answer) => {
  const parts = [];
  request.on("data", (part) => parts.push(part));
  request.on("end", () => {
    const rawBody = Buffer.concat(parts).toString();
    const webhook = backend().webhook({ headers: request.headers, rawBody });
    if (webhook.isValid()) told.push(...webhook.getEvents());
    else told.push({ name: "invalid", headers: request.headers, rawBody });
    answer.end();
  });
});

before(() => new Promise((ready) => hooks.listen(Number(process.env.WEBHOOK_PORT), "127.0.0.1", ready)));
after(() => hooks.close());
afterEach(closeAll);

const as = (user, options = {}) =>
  client(user, {
    channelAuthorization: { customHandler: authorize(user) },
    userAuthentication: { customHandler: authenticate(user) },
    ...options,
  });

const status = (code) => (error) => {
  assert.equal(error.status, code, `${error}: ${error.body}`);
  assert.ok(error.body.length > 0);
  return true;
};

test("what is triggered arrives, in one channel or many", async () => {
  const ada = as(ADA);
  const channels = [];
  for (const name of ["a", "private-b", "presence-c"]) channels.push(await subscribed(ada, name));
  const heard = channels.map((channel) => event(channel, "App\\Events\\Said"));
  const names = channels.map((channel) => channel.name);
  const answer = await backend().trigger(names, "App\\Events\\Said", { list: [1, "ü"] });
  assert.equal(answer.status, 200);
  assert.deepEqual(await answer.json(), {});
  for (const data of heard) assert.deepEqual(await data, { list: [1, "ü"] });
  const text = event(channels[0], "text");
  await backend().trigger("a", "text", "just text");
  assert.equal(await text, "just text");
});

test("toOthers leaves the sender out", async () => {
  const [ada, bob] = [as(ADA), as(BOB)];
  const [hers, his] = [await subscribed(ada, "others"), await subscribed(bob, "others")];
  const missed = [];
  hers.bind("e", (data) => missed.push(data));
  const heard = event(his, "e");
  await backend().trigger("others", "e", 1, { socket_id: ada.connection.socket_id });
  assert.equal(await heard, 1);
  await settled(ada);
  assert.deepEqual(missed, []);
});

test("a batch arrives in its order", async () => {
  const channel = await subscribed(as(ADA), "batch");
  const heard = [];
  const done = within("ten", new Promise((resolve) => {
    channel.bind("e", (n) => heard.push(n) === 10 && resolve());
  }));
  const batch = Array.from({ length: 10 }, (_, n) => ({ channel: "batch", name: "e", data: n }));
  await backend().triggerBatch(batch);
  await done;
  assert.deepEqual(heard, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
});

test("channels and users are told", async () => {
  const clients = [as(ADA), as(ADA), as(BOB)];
  for (const one of clients) await subscribed(one, "presence-asked");
  await subscribed(clients[0], "asked");
  const { channels } = await read("/channels", { filter_by_prefix: "presence-", info: "user_count" });
  assert.deepEqual(channels["presence-asked"], { user_count: 2 });
  assert.deepEqual(await read("/channels/presence-asked", { info: "user_count" }), { occupied: true, user_count: 2 });
  assert.deepEqual(await read("/channels/asked", { info: "subscription_count" }), { occupied: true, subscription_count: 1 });
  assert.deepEqual(await read("/channels/nobody"), { occupied: false });
  const { users } = await read("/channels/presence-asked/users");
  assert.deepEqual(users.map((user) => user.id).sort(), ["ada", "bob"]);
  const answer = await backend().trigger(["asked", "presence-asked"], "e", 1, { info: "subscription_count,user_count" });
  const counted = { asked: { subscription_count: 1 }, "presence-asked": { user_count: 2 } };
  assert.deepEqual(await answer.json(), { channels: counted });
});

test("an encrypted channel is encrypted by the SDK and decrypted by the client", async () => {
  const channel = await subscribed(as(ADA), "private-encrypted-x");
  const heard = event(channel, "e");
  await backend().trigger("private-encrypted-x", "e", { secret: 42 });
  assert.deepEqual(await heard, { secret: 42 });
});

test("a cache channel remembers what the SDK has triggered", async () => {
  const name = `private-cache-${Date.now()}`;
  await backend().trigger(name, "e", { n: 1 });
  assert.deepEqual(await event(as(ADA).subscribe(name), "e"), { n: 1 });
  const { cache } = await read(`/channels/${name}`, { info: "cache" });
  assert.deepEqual(JSON.parse(cache.data), { n: 1 });
});

test("a user is sent to, and its connections are terminated", async () => {
  const tabs = [as(ADA), as(ADA)];
  const bob = await connected(as(BOB));
  for (const tab of tabs) {
    const success = event(tab, "pusher:signin_success");
    tab.signin();
    await success;
    await within("the user's channel", (async () => {
      while (!tab.user.serverToUserChannel?.subscribed) await settled(tab);
    })());
  }
  const heard = tabs.map((tab) => event(tab.user, "note"));
  await backend().sendToUser("ada", "note", { n: 1 });
  for (const note of heard) assert.deepEqual(await note, { n: 1 });
  const gone = tabs.map((tab) => event(tab.connection, "disconnected"));
  await backend().terminateUserConnections("ada");
  await Promise.all(gone);
  await settled(bob);
  assert.equal(bob.connection.state, "connected");
});

test("what is wrong is an error with a status", async () => {
  const wrong = backend({ secret: "wrong" });
  await assert.rejects(wrong.trigger("a", "e", 1), status(401));
  await assert.rejects(wrong.get({ path: "/channels" }), status(401));
  await assert.rejects(backend({ appId: "2" }).trigger("a", "e", 1), status(404));
  await assert.rejects(backend({ key: "other" }).trigger("a", "e", 1), status(401));
  await assert.rejects(backend().trigger("a", "e", "x".repeat(10_241)), status(413));
  await assert.rejects(read("/channels", { info: "user_count" }), status(400));
  await assert.rejects(read("/channels/a/users"), status(400));
  const eleven = Array.from({ length: 11 }, () => ({ channel: "a", name: "e", data: 1 }));
  await assert.rejects(backend().triggerBatch(eleven), status(400));
});

test("webhooks are valid to the SDK, and tell what has happened", async () => {
  const ada = as(ADA);
  const channel = await subscribed(ada, "presence-hooked");
  channel.trigger("client-typing", { on: true });
  const of = () => told.filter((event) => event.channel === "presence-hooked");
  await within("webhooks", (async () => {
    while (of().length < 3) await settled(ada);
  })());
  const events = Object.fromEntries(of().map((event) => [event.name, event]));
  assert.ok(events.channel_occupied);
  assert.equal(events.member_added.user_id, "ada");
  const { event: name, data, socket_id, user_id } = events.client_event;
  assert.deepEqual(
    { name, data: JSON.parse(data), socket_id, user_id },
    { name: "client-typing", data: { on: true }, socket_id: ada.connection.socket_id, user_id: "ada" },
  );
  assert.deepEqual(told.filter((event) => event.name === "invalid"), []);
});

test("fifty clients get two hundred messages each, in order, and no other", async () => {
  const CLIENTS = 50;
  const MESSAGES = 200;
  const heard = await Promise.all(
    Array.from({ length: CLIENTS }, async (_, n) => {
      const channel = await subscribed(as({ id: `user-${n}` }), "presence-load");
      const got = [];
      const all = new Promise((resolve) => channel.bind("e", (n) => got.push(n) === MESSAGES && resolve()));
      return { got, all };
    }),
  );
  for (let first = 0; first < MESSAGES; first += 10) {
    const batch = Array.from({ length: 10 }, (_, n) => ({ channel: "presence-load", name: "e", data: first + n }));
    await backend().triggerBatch(batch);
  }
  await within("all messages", Promise.all(heard.map(({ all }) => all)));
  const expected = Array.from({ length: MESSAGES }, (_, n) => n);
  for (const { got } of heard) assert.deepEqual(got, expected);
});

test("the SDK's own example of a URL works", async () => {
  const { host } = new URL(process.env.PUSHER_SERVER);
  const sdk = Pusher.forURL(`http://${process.env.PUSHER_APP}@${host}/apps/1`);
  assert.equal((await sdk.trigger("a", "e", 1)).status, 200);
});
