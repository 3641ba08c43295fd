// Against a real server: TIDEGATE_URL=ws://127.0.0.1:8000/ws node --test test/live.test.mjs
// It must know the channels `room:*`. TIDEGATE_TOKEN is shown if there is one.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { WebSocket } from 'ws';
import { Tidegate } from '../dist/tidegate.js';

const { TIDEGATE_URL: url, TIDEGATE_TOKEN: token } = process.env;
const options = { skip: url ? false : 'TIDEGATE_URL is not set', timeout: 20_000 };

function client(t) {
  const client = new Tidegate(url, { WebSocket, token });
  t.after(() => client.close());
  return client;
}

test('a message published is a message received', options, async (t) => {
  const live = client(t);
  const room = live.subscribe('room:live');
  await room.ready;
  const loop = room[Symbol.asyncIterator]();
  await live.publish('room:live', { text: 'héllo' }, { event: 'said' });
  const { value } = await loop.next();
  assert.deepEqual([value.channel, value.data, value.event], ['room:live', { text: 'héllo' }, 'said']);
  await room.unsubscribe();
});

test('bytes come back as they were', options, async (t) => {
  const live = client(t);
  const room = live.subscribe('room:live-bytes');
  await room.ready;
  await live.publish('room:live-bytes', new Uint8Array([0, 1, 255]));
  const { value } = await room[Symbol.asyncIterator]().next();
  assert.deepEqual([...value.data], [0, 1, 255]);
});

test('an action that nobody offers is refused', options, async (t) => {
  await assert.rejects(client(t).action('no-such-action'), {
    code: 'action_not_found',
    message: "Action 'no-such-action' not found.",
  });
});

test('a thousand messages arrive in order', options, async (t) => {
  const [writer, reader] = [client(t), client(t)];
  const room = reader.subscribe('room:live-thousand');
  await room.ready;
  const published = [];
  for (let n = 0; n < 1_000; n++) published.push(writer.publish('room:live-thousand', n));
  let expected = 0;
  let offset = -1;
  for await (const message of room) {
    assert.equal(message.data, expected++);
    if (message.offset !== undefined) {
      assert.ok(message.offset > offset);
      offset = message.offset;
    }
    if (expected === 1_000) break;
  }
  await Promise.all(published);
});
