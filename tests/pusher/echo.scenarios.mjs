// What Laravel Echo promises, in Node and in a page alike. `stage` has what differs:
//   echo(user, options)  an Echo of a user's, as an application would make it
//   sdk(method, ...)     a call of the application's back end, on the SDK for Node
//   close()              ends all Echos

export const scenarios = {};

const BOUND_MS = 10_000;

/** Waits for what is to come, within a bound. */
function within(what, promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no ${what} within ${BOUND_MS} ms`)), BOUND_MS);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

const heard = (what, listen) => within(what, new Promise(listen));

function same(got, expected, what = "") {
  const [a, b] = [JSON.stringify(got), JSON.stringify(expected)];
  if (a !== b) throw new Error(`${what} ${a} is not ${b}`);
}

const ready = async (channel) => {
  await heard(`subscription of ${channel.name}`, (resolve) => channel.subscribed(resolve));
  return channel;
};

const connected = (echo) =>
  heard("connection", (resolve) => {
    const { connection } = echo.connector.pusher;
    if (connection.state === "connected") resolve();
    else connection.bind("connected", resolve);
  });

/** Whatever was under way has come: a round trip behind it. */
async function settled(echo) {
  const name = `settled-${Math.random().toString(36).slice(2)}`;
  await ready(echo.channel(name));
  echo.leave(name);
}

scenarios["an event of the application's is heard by its class"] = async ({ echo, sdk }) => {
  const channel = await ready(echo("ada").channel("orders"));
  const shipped = heard("event", (resolve) => channel.listen("OrderShipped", resolve));
  const dotted = heard("event", (resolve) => channel.listen(".order.paid", resolve));
  await sdk("trigger", "orders", "App\\Events\\OrderShipped", { id: 7 });
  await sdk("trigger", "orders", "order.paid", { id: 8 });
  same(await shipped, { id: 7 });
  same(await dotted, { id: 8 });
};

scenarios["both names of the broadcaster work"] = async ({ echo }) => {
  for (const broadcaster of ["pusher", "reverb"]) {
    await ready(echo("ada", { broadcaster, cluster: "" }).channel("named"));
  }
};

scenarios["a private channel lets in whom the endpoint lets in"] = async ({ echo, sdk }) => {
  const channel = await ready(echo("ada").private("order.7"));
  const event = heard("event", (resolve) => channel.listen("Paid", resolve));
  await sdk("trigger", "private-order.7", "App\\Events\\Paid", { id: 7 });
  same(await event, { id: 7 });
  const refused = echo("refuse").private("order.7");
  const error = await heard("error", (resolve) => refused.error(resolve));
  same(error.status, 403);
};

scenarios["whispers reach the others"] = async ({ echo }) => {
  const [hers, his] = [await ready(echo("ada").private("chat")), await ready(echo("bob").private("chat"))];
  let echoes = 0;
  hers.listenForWhisper("typing", () => echoes++);
  const whisper = heard("whisper", (resolve) => his.listenForWhisper("typing", resolve));
  hers.whisper("typing", { name: "Ada" });
  same(await whisper, { name: "Ada" });
  const back = heard("whisper", (resolve) => hers.listenForWhisper("done", resolve));
  his.whisper("done", {});
  await back;
  same(echoes, 0);
};

scenarios["who is here, joins and leaves is told, of several tabs once"] = async ({ echo }) => {
  const ada = echo("ada");
  const hers = ada.join("room");
  same(await heard("here", (resolve) => hers.here(resolve)), [{ id: "ada" }]);
  const told = [];
  hers.joining((user) => told.push(`+${user.id}`)).leaving((user) => told.push(`-${user.id}`));
  const tabs = [echo("bob"), echo("bob")];
  const joined = heard("joining", (resolve) => hers.joining(resolve));
  const his = tabs[0].join("room");
  const here = await heard("here", (resolve) => his.here(resolve));
  same(here.map((user) => user.id).sort(), ["ada", "bob"]);
  same(await joined, { id: "bob" });
  await ready(tabs[1].join("room"));
  tabs[0].leave("room");
  await settled(tabs[0]);
  await settled(ada);
  same(told, ["+bob"]);
  const left = heard("leaving", (resolve) => hers.leaving(resolve));
  tabs[1].disconnect();
  same(await left, { id: "bob" });
  same(told, ["+bob", "-bob"]);
};

scenarios["toOthers leaves the sender out"] = async ({ echo, sdk }) => {
  const [ada, bob] = [echo("ada"), echo("bob")];
  const [hers, his] = [await ready(ada.channel("posts")), await ready(bob.channel("posts"))];
  let mine = 0;
  hers.listen(".posted", () => mine++);
  const event = heard("event", (resolve) => his.listen(".posted", resolve));
  await sdk("trigger", "posts", "posted", { id: 1 }, { socket_id: ada.socketId() });
  same(await event, { id: 1 });
  await settled(ada);
  same(mine, 0);
};

scenarios["notifications come by their own event"] = async ({ echo, sdk }) => {
  const channel = await ready(echo("ada").private("App.Models.User.1"));
  const note = heard("notification", (resolve) => channel.notification(resolve));
  const name = "Illuminate\\Notifications\\Events\\BroadcastNotificationCreated";
  await sdk("trigger", "private-App.Models.User.1", name, { id: "n", type: "Invoice" });
  same(await note, { id: "n", type: "Invoice" });
};

scenarios["an encrypted channel is decrypted with the application's own endpoint"] = async ({ echo, sdk }) => {
  const customHandler = ({ channelName, socketId }, callback) =>
    sdk("authorizeChannel", socketId, channelName).then((auth) => callback(null, auth), callback);
  const channel = await ready(echo("ada", { channelAuthorization: { customHandler } }).encryptedPrivate("box"));
  const event = heard("event", (resolve) => channel.listen(".e", resolve));
  await sdk("trigger", "private-encrypted-box", "e", { secret: 42 });
  same(await event, { secret: 42 });
};

scenarios["a cache channel brings the last event"] = async ({ echo, sdk }) => {
  const name = `cache-${Math.random().toString(36).slice(2)}`;
  await sdk("trigger", name, "score", { home: 1 });
  const channel = echo("ada").channel(name);
  same(await heard("event", (resolve) => channel.listen(".score", resolve)), { home: 1 });
};

scenarios["a signed-in user is sent to"] = async ({ echo, sdk }) => {
  const ada = echo("ada");
  await connected(ada);
  const { pusher } = ada.connector;
  const success = heard("sign-in", (resolve) => pusher.bind("pusher:signin_success", resolve));
  ada.connector.signin();
  await success;
  same(pusher.user.user_data.id, "ada");
  await within("the user's channel", (async () => {
    while (!pusher.user.serverToUserChannel?.subscribed) await settled(ada);
  })());
  const note = heard("note", (resolve) => pusher.user.bind("note", resolve));
  await sdk("sendToUser", "ada", "note", { n: 1 });
  same(await note, { n: 1 });
};

scenarios["a channel that is left is not heard any more"] = async ({ echo, sdk }) => {
  const ada = echo("ada");
  const channel = await ready(ada.channel("left"));
  let missed = 0;
  channel.listen(".e", () => missed++);
  ada.leave("left");
  await settled(ada);
  await sdk("trigger", "left", "e", 1);
  const again = await ready(ada.channel("left"));
  const event = heard("event", (resolve) => again.listen(".next", resolve));
  await sdk("trigger", "left", "next", { n: 1 });
  await event;
  same(missed, 0);
};
