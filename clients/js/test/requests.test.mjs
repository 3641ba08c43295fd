// Requests and their answers: ids, refusals, the queue, and what a lost connection means.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { JsonText, TidegateError } from '../dist/tidegate.js';
import { fakeServer, once, state, until } from './fake-server.mjs';

async function connected(t, options) {
  const server = await fakeServer(t);
  const client = server.client(options);
  const peer = await server.accept();
  await state(client, 'open');
  return { server, client, peer };
}

test('answers find their requests by id, in any order', async (t) => {
  const { client, peer } = await connected(t);
  const results = [client.publish('a', 1), client.publish('b', { x: 2 }), client.action('sum', [1, 2])];
  const [a, b, sum] = [await peer.next(), await peer.next(), await peer.next()];
  assert.deepEqual(b, { type: 'publish', channel: 'b', data: { x: 2 }, id: b.id });
  assert.equal(new Set([a.id, b.id, sum.id]).size, 3);
  peer.answer(sum, { type: 'action', status: 'completed', data: 3 });
  peer.answer(b, { type: 'published', offset: 7 });
  peer.answer(a, { type: 'published' });
  assert.deepEqual(await Promise.all(results), [{ channel: 'a' }, { channel: 'b', offset: 7 }, 3]);
});

test('a publish carries what it was given', async (t) => {
  const { client, peer } = await connected(t);
  void client.publish('a', null, { event: 'said', echo: false, idempotencyKey: 'k' }).catch(() => {});
  const { id, ...frame } = await peer.next();
  assert.equal(typeof id, 'number');
  assert.deepEqual(frame, {
    type: 'publish',
    channel: 'a',
    data: null,
    event: 'said',
    echo: false,
    idempotency_key: 'k',
  });
});

test('without ack there is no id, and a refusal is an event', async (t) => {
  const { client, peer } = await connected(t);
  assert.deepEqual(await client.publish('a', 1, { ack: false }), { channel: 'a' });
  assert.deepEqual(await peer.next(), { type: 'publish', channel: 'a', data: 1 });
  const error = once(client, 'error');
  peer.send({ type: 'error', code: 'not_subscribed', message: 'No.', channel: 'a' });
  assert.equal((await error).code, 'not_subscribed');
});

test('a receipt counts whom a message reached', async (t) => {
  const { client, peer } = await connected(t);
  const answer = client.publish('a', 1, { receipt: true });
  const request = await peer.next();
  assert.equal(request.receipt, true);
  peer.answer(request, { type: 'published', offset: 4, delivered: 0, filtered: 2, excluded: 1 });
  assert.deepEqual(await answer, { channel: 'a', offset: 4, delivered: 0, filtered: 2, excluded: 1 });
  await assert.rejects(client.publish('a', 1, { receipt: true, ack: false }), { code: 'invalid_params' });
  await assert.rejects(client.publish('a', new Uint8Array(1), { receipt: true }), { code: 'invalid_params' });
});

test('JSON text goes as it was written', async (t) => {
  const { client, peer } = await connected(t);
  const raw = () => new Promise((resolve) => peer.socket.once('message', (data) => resolve(String(data))));
  const text = '{ "id": 9007199254740993, "price": 1.50 }';
  let sent = raw();
  await client.publish('a', new JsonText(text), { ack: false, event: 'said' });
  assert.equal(await sent, `{"type":"publish","channel":"a","event":"said","data":${text}}`);
  sent = raw();
  void client.action('a', new JsonText('[1.0]')).catch(() => {});
  assert.match(await sent, /^\{"type":"action","channel":"a","id":\d+,"data":\[1\.0\]\}$/);
  for (const wrong of ['', '{', '1,"type":"action"', '1}']) assert.throws(() => new JsonText(wrong), SyntaxError);
});

test('a refusal is an error with all that the server said', async (t) => {
  const { client, peer } = await connected(t);
  const answer = client.publish('a', 1);
  peer.answer(await peer.next(), {
    type: 'error',
    code: 'rejected',
    message: 'Be polite.',
    reason_code: 12,
    retry_after: 1.5,
    details: 'data',
  });
  const error = await answer.then(assert.fail, (error) => error);
  assert.ok(error instanceof TidegateError && error instanceof Error);
  const { name, code, message, channel, retryAfter, reasonCode, details } = error;
  assert.deepEqual(
    { name, code, message, channel, retryAfter, reasonCode, details },
    {
      name: 'TidegateError',
      code: 'rejected',
      message: 'Be polite.',
      channel: 'a',
      retryAfter: 1.5,
      reasonCode: 12,
      details: 'data',
    },
  );
});

test('presence and history', async (t) => {
  const { client, peer } = await connected(t);
  const presence = client.presence('a');
  const member = { user_id: 'ada', joined_at: 1, colour: 'red' };
  peer.answer(await peer.expect('presence'), { type: 'presence', count: 1, members: [member] });
  assert.deepEqual(await presence, { count: 1, members: [member] });

  const history = client.history('a', { limit: 2, since: { epoch: 'e', offset: 4 } });
  const request = await peer.expect('history');
  assert.deepEqual([request.limit, request.since], [2, { epoch: 'e', offset: 4 }]);
  peer.answer(request, {
    type: 'history',
    epoch: 'e',
    offset: 9,
    complete: false,
    messages: [
      { data: 'x', offset: 8, timestamp: 2, extra: 1 },
      { data: 'y', sender: 'ada', event: 'said', offset: 9 },
      { base64: 'AP8H', sender: 'ada', offset: 10 },
      { base64: '', offset: 11 },
    ],
  });
  assert.deepEqual(await history, {
    epoch: 'e',
    offset: 9,
    complete: false,
    messages: [
      { channel: 'a', data: 'x', offset: 8, timestamp: 2 },
      { channel: 'a', data: 'y', event: 'said', sender: 'ada', offset: 9 },
      { channel: 'a', data: new Uint8Array([0, 255, 7]), sender: 'ada', offset: 10 },
      { channel: 'a', data: new Uint8Array(), offset: 11 },
    ],
  });
});

test('requests made before there is a connection wait for it, in order and bounded', async (t) => {
  const server = await fakeServer(t);
  const client = server.client({ queue: 2 });
  const first = client.publish('a', 1);
  const second = client.publish('a', 2, { ack: false });
  await assert.rejects(client.publish('a', 3), { code: 'queue_full' });
  const subscription = client.subscribe('a');
  const peer = await server.accept();
  await peer.subscribed();
  const one = await peer.next();
  assert.deepEqual([one.data, (await peer.next()).data], [1, 2]);
  peer.answer(one, { type: 'published' });
  await Promise.all([first, second, subscription.ready]);

  const impatient = server.client({ queue: 0 });
  await assert.rejects(impatient.publish('a', 1), { code: 'disconnected' });
});

test('what was on its way when the connection ended is refused, what was not is sent later', async (t) => {
  const { server, client, peer } = await connected(t);
  const sent = client.publish('a', 1);
  await peer.next();
  peer.socket.terminate();
  await assert.rejects(sent, { code: 'disconnected' });
  const later = client.publish('a', 2);
  const again = await server.accept();
  const request = await again.next();
  assert.equal(request.data, 2);
  again.answer(request, { type: 'published', offset: 1 });
  assert.deepEqual(await later, { channel: 'a', offset: 1 });
});

test('closing refuses what waits', async (t) => {
  const { server, client, peer } = await connected(t);
  const sent = client.publish('a', 1);
  await peer.next();
  client.close();
  await assert.rejects(sent, { code: 'disconnected' });
  assert.equal(await peer.closed, 1000);

  const other = server.client();
  const queued = other.publish('a', 1);
  other.close();
  await assert.rejects(queued, { code: 'disconnected' });
  await assert.rejects(other.leave('a'), { code: 'disconnected' });
});

test('bytes travel as a binary frame', async (t) => {
  const { client, peer } = await connected(t);
  await client.publish('rüm', new Uint8Array([0, 255]));
  assert.deepEqual([...(await peer.next())], [4, ...Buffer.from('rüm'), 0, 255]);
  await assert.rejects(client.publish('a', new Uint8Array(1), { echo: false }), { code: 'invalid_params' });
  await assert.rejects(client.publish('a'.repeat(256), new Uint8Array(1)), { code: 'invalid_params' });
});

test('what cannot be JSON is refused before it is sent', async (t) => {
  const { client, peer } = await connected(t);
  await assert.rejects(client.publish('a', 1n), TypeError);
  void client.action('next').catch(() => {});
  assert.equal((await peer.next()).channel, 'next');
});

test('a membership is restored after a reconnect, with its newest metadata, until it is left', async (t) => {
  const { server, client, peer } = await connected(t);
  const confirm = async (peer, type, refusal) => {
    const request = await peer.expect(type);
    peer.answer(request, refusal ?? { type: `${type}ed` });
    return request;
  };
  const joins = Promise.all([client.join('a', { v: 1 }), client.join('a', { v: 2 }), client.join('b')]);
  for (let n = 0; n < 3; n++) await confirm(peer, 'join');
  await joins;
  const refused = client.join('a', { v: 3 });
  await confirm(peer, 'join', { type: 'error', code: 'rejected', message: 'No.' });
  await assert.rejects(refused, { code: 'rejected' });
  const left = client.leave('b');
  peer.answer(await peer.expect('leave'), { type: 'left' });
  await left;

  peer.socket.terminate();
  const again = await server.accept();
  const error = once(client, 'error');
  const rejoin = await confirm(again, 'join', { type: 'error', code: 'rejected', message: 'Gone.' });
  assert.deepEqual([rejoin.channel, rejoin.data], ['a', { v: 2 }]);
  assert.equal((await error).code, 'rejected');
  again.socket.terminate();

  const last = await server.accept();
  await state(client, 'open');
  void client.action('end').catch(() => {});
  await last.expect('action');
});

test('names of the language are names of channels like any other', async (t) => {
  const { client, peer } = await connected(t);
  const names = ['__proto__', 'constructor', 'toString'];
  const got = [];
  for (const name of names) {
    client.subscribe(name).on('message', (message) => got.push(message));
    await peer.subscribed();
  }
  peer.socket.send('{"type":"data","channel":"__proto__","data":{"__proto__":{"admin":true}}}');
  for (const name of names.slice(1)) peer.send({ type: 'data', channel: name, data: 1 });
  await until(() => got.length === 3);
  assert.deepEqual(got.map((message) => message.channel), names);
  assert.equal({}.admin, undefined);
});
