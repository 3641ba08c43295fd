// What the protocol's own client does when it is turned away: RECONNECT says with which code. There
// is room for one.

import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import { client, closeAll, connected, event, settled } from "./app.mjs";

afterEach(closeAll);

const CODE = Number(process.env.RECONNECT);

test("the second client hears the code, and does as it says", async () => {
  const first = await connected(client());
  const second = client();
  const error = event(second.connection, "error");
  const stays = CODE < 4100;
  const gone = stays ? event(second.connection, "disconnected") : undefined;
  assert.equal((await error).error.data.code, CODE);
  await gone;
  first.disconnect();
  if (stays) {
    // As long as one that comes back would take.
    await new Promise((resolve) => setTimeout(resolve, 2_000));
    assert.equal(second.connection.state, "disconnected");
    return;
  }
  await connected(second);
  await settled(second);
});
