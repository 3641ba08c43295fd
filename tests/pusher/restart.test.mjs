// The server goes away with 4200 and comes back: so does the client, by itself, to its channels.

import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import { client, closeAll, event } from "./app.mjs";

afterEach(closeAll);

test("the client is back in its channel before the news", async () => {
  const pusher = client();
  const codes = [];
  pusher.connection.bind("error", ({ error }) => codes.push(error?.data?.code));
  let connected = 0;
  pusher.connection.bind("connected", () => (connected += 1));
  assert.deepEqual(await event(pusher.subscribe("my-channel"), "news"), { n: 1 });
  assert.equal(connected, 2);
  assert.ok(codes.every((code) => code === undefined || code === 4200), `${codes}`);
});
