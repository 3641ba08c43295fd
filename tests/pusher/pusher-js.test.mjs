// The protocol's own client, unmodified, against the server as it is.

import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import {
  client,
  closeAll,
  connected,
  disconnect,
  encrypted,
  event,
  eventAndMore,
  publish,
  settled,
  signed,
  subscribed,
  within,
} from "./app.mjs";

afterEach(closeAll);

const ADA = { id: "ada", user_info: { name: "Ada" } };
const BOB = { id: "bob", user_info: { name: "Bob" } };

test("a client connects and has a socket id", async () => {
  const pusher = await connected(client());
  assert.match(pusher.connection.socket_id, /^\d+\.\d+$/);
});

test("a public channel is heard", async () => {
  const pusher = client();
  const channel = await subscribed(pusher, "my-channel");
  const heard = event(channel, "my-event");
  await publish("my-channel", "my-event", { message: "hello", list: [1, "ü"] });
  assert.deepEqual(await heard, { message: "hello", list: [1, "ü"] });
  const text = event(channel, "App\\Events\\Said");
  await publish("my-channel", "App\\Events\\Said", "just text");
  assert.equal(await text, "just text");
});

test("leaving a channel ends it, and it can be had again", async () => {
  const pusher = client();
  const channel = await subscribed(pusher, "public-x");
  const heard = [];
  channel.bind_global((name) => heard.push(name));
  pusher.unsubscribe("public-x");
  await settled(pusher);
  await publish("public-x", "missed", 1);
  const again = await subscribed(pusher, "public-x");
  const next = event(again, "next");
  await publish("public-x", "next", 1);
  await next;
  assert.ok(!heard.includes("missed"), heard);
});

test("a subscription that is left while it is pending is left", async () => {
  const pusher = await connected(client());
  pusher.subscribe("fickle");
  pusher.unsubscribe("fickle");
  await settled(pusher);
  const again = await subscribed(pusher, "fickle");
  assert.equal(again.subscribed, true);
});

test("a private channel is heard by whom the application lets in", async () => {
  const pusher = client(ADA);
  const channel = await subscribed(pusher, "private-x");
  const heard = event(channel, "e");
  await publish("private-x", "e", { n: 1 });
  assert.deepEqual(await heard, { n: 1 });
});

test("a wrong signature is a subscription error, and the connection stays", async () => {
  const wrong = (_, callback) => callback(null, { auth: signed("something else") });
  const pusher = client(ADA, { channelAuthorization: { customHandler: wrong } });
  const error = await event(pusher.subscribe("private-x"), "pusher:subscription_error");
  assert.equal(error.type, "AuthError");
  assert.equal(error.status, 401);
  await settled(pusher);
  assert.equal(pusher.connection.state, "connected");
});

test("an encrypted channel is decrypted", async () => {
  const pusher = client(ADA);
  const name = "private-encrypted-x";
  const channel = await subscribed(pusher, name);
  const heard = event(channel, "e");
  await publish(name, "e", encrypted(name, { secret: 42 }));
  assert.deepEqual(await heard, { secret: 42 });
});

test("members of a presence channel see each other, and several tabs as one", async () => {
  const ada = client(ADA);
  const hers = await subscribed(ada, "presence-room");
  assert.equal(hers.members.count, 1);
  assert.deepEqual(hers.members.me, { id: "ada", info: { name: "Ada" } });

  const added = event(hers, "pusher:member_added");
  const tabs = [client(BOB), client(BOB)];
  const his = await subscribed(tabs[0], "presence-room");
  assert.deepEqual(await added, { id: "bob", info: { name: "Bob" } });
  assert.equal(his.members.count, 2);
  assert.deepEqual(his.members.get("ada").info, { name: "Ada" });

  const told = [];
  hers.bind("pusher:member_added", () => told.push("added"));
  hers.bind("pusher:member_removed", () => told.push("removed"));
  const second = await subscribed(tabs[1], "presence-room");
  assert.equal(second.members.count, 2);
  tabs[0].disconnect();
  await settled(ada, tabs[1], ada);
  assert.deepEqual(told, []);
  const removed = event(hers, "pusher:member_removed");
  tabs[1].unsubscribe("presence-room");
  assert.equal((await removed).id, "bob");
  assert.equal(hers.members.count, 1);
});

test("a user's id may be a number, and its info left out", async () => {
  const ada = client(ADA);
  const hers = await subscribed(ada, "presence-numbers");
  const added = event(hers, "pusher:member_added");
  const other = await subscribed(client({ id: 7 }), "presence-numbers");
  assert.equal((await added).id, "7");
  assert.equal(hers.members.count, 2);
  assert.equal(other.members.count, 2);
  assert.ok(hers.members.get("7"));
});

test("clients talk to each other, and a presence channel says who", async () => {
  const [ada, bob] = [client(ADA), client(BOB)];
  for (const name of ["private-talk", "presence-talk"]) {
    const [hers, his] = [await subscribed(ada, name), await subscribed(bob, name)];
    const echoes = [];
    hers.bind("client-typing", () => echoes.push(name));
    const heard = eventAndMore(his, "client-typing");
    assert.ok(hers.trigger("client-typing", { on: true }));
    const { data, metadata } = await heard;
    assert.deepEqual(data, { on: true });
    assert.equal(metadata.user_id, name.startsWith("presence-") ? "ada" : undefined);
    await settled(ada);
    assert.deepEqual(echoes, []);
  }
});

test("more client events than ten a second are an error of the connection's", async () => {
  const pusher = client(ADA);
  const channel = await subscribed(pusher, "private-much");
  const error = event(pusher.connection, "error");
  for (let n = 0; n < 30; n++) channel.trigger("client-e", n);
  assert.equal((await error).data.code, 4301);
  assert.equal(pusher.connection.state, "connected");
});

test("cache channels bring the last event, or say that there is none", async () => {
  const pusher = client(ADA);
  const name = `cache-${Date.now()}`;
  const channel = pusher.subscribe(name);
  await event(channel, "pusher:cache_miss");
  const first = event(channel, "e");
  await publish(name, "e", { n: 1 });
  await first;
  const late = client(BOB).subscribe(name);
  assert.deepEqual(await event(late, "e"), { n: 1 });
});

test("a signed-in user is sent to, and its friends come and go", async () => {
  const ada = client({ ...ADA, watchlist: ["bob"] });
  const [offline, online] = [event(ada.user.watchlist, "offline"), event(ada.user.watchlist, "online")];
  const success = event(ada, "pusher:signin_success");
  ada.signin();
  await success;
  assert.equal(ada.user.user_data.id, "ada");
  assert.deepEqual((await offline).user_ids, ["bob"]);

  const bob = client(BOB);
  bob.signin();
  assert.deepEqual((await online).user_ids, ["bob"]);
  const gone = event(ada.user.watchlist, "offline");
  bob.disconnect();
  assert.deepEqual((await gone).user_ids, ["bob"]);

  const heard = event(ada.user, "note");
  await within("the user's channel", (async () => {
    while (!ada.user.serverToUserChannel?.subscribed) await settled(ada);
  })());
  await publish("#server-to-user-ada", "note", { n: 1 });
  assert.deepEqual(await heard, { n: 1 });
});

test("an unknown key is refused for good", async () => {
  const pusher = client(ADA, { key: "unknown" });
  const error = event(pusher.connection, "error");
  await event(pusher.connection, "disconnected");
  assert.equal((await error).error.data.code, 4001);
});

test("subscribers are told how many they are", async () => {
  const [ada, bob] = [client(ADA), client(BOB)];
  const hers = ada.subscribe("private-counted");
  assert.deepEqual(await event(hers, "pusher:subscription_count"), { subscription_count: 1 });
  const two = event(hers, "pusher:subscription_count");
  await subscribed(bob, "private-counted");
  assert.deepEqual(await two, { subscription_count: 2 });
  assert.equal(hers.subscriptionCount, 2);
});

test("who is disconnected by the server's operator stays away", async () => {
  const pusher = await connected(client(ADA));
  const gone = event(pusher.connection, "disconnected");
  await disconnect(pusher.connection.socket_id);
  await gone;
  assert.equal(pusher.connection.state, "disconnected");
});

test("silence is broken by a ping that is answered", async () => {
  const pusher = await connected(client(ADA, { activityTimeout: 1000, pongTimeout: 3000 }));
  const states = [];
  pusher.connection.bind("state_change", ({ current }) => states.push(current));
  const pong = event(pusher.connection, "message");
  assert.equal((await pong).event, "pusher:pong");
  assert.deepEqual(states, []);
});
