// One channel as the application sees it: once, in order, or a gap that is told.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fakeServer, ManualTimers, once, state, until } from './fake-server.mjs';

/** A subscription that has its first answer, and all that it says. */
async function subscribed(t, { position, client: clientOptions, ...options } = {}) {
  const server = await fakeServer(t);
  const client = server.client(clientOptions);
  const room = client.subscribe('room', options);
  const peer = await server.accept();
  const request = await peer.subscribed(position);
  await room.ready;
  const log = [];
  room.on('message', (message) => log.push(message.offset ?? message.data));
  room.on('gap', (gap) => log.push(gap));
  return { server, client, room, peer, request, log };
}

const settle = () => new Promise((resolve) => setTimeout(resolve, 20));

test('a subscription asks for what it was given and hears the channel', async (t) => {
  const filter = { plugin: 'level', params: { min: 'error' } };
  const { client, room, peer, request } = await subscribed(t, {
    data: { a: 1 },
    filter,
    presence: true,
    history: 5,
    policy: 'latest',
    position: { epoch: 'e', offset: 3, members: [{ user_id: 'ada', joined_at: 1 }] },
  });
  assert.deepEqual(request, {
    type: 'subscribe',
    channel: 'room',
    data: { a: 1 },
    filter,
    policy: 'latest',
    history: 5,
    presence: true,
    id: request.id,
  });
  assert.deepEqual(await room.ready, {
    channel: 'room',
    epoch: 'e',
    offset: 3,
    members: [{ user_id: 'ada', joined_at: 1 }],
  });
  const events = [];
  for (const event of ['message', 'join', 'leave', 'error']) room.on(event, (value) => events.push([event, value]));
  const member = { user_id: 'bob', joined_at: 2 };
  peer.send(
    { type: 'data', channel: 'room', data: 'x', event: 'said', sender: 'ada', offset: 4, timestamp: 2.5 },
    { type: 'join', channel: 'room', member },
    { type: 'leave', channel: 'room', member },
    { type: 'error', channel: 'room', code: 'too_large', message: 'Message exceeds 1 bytes.' },
  );
  await until(() => events.length === 4);
  assert.deepEqual(events.slice(0, 3), [
    ['message', { channel: 'room', data: 'x', event: 'said', sender: 'ada', offset: 4, timestamp: 2.5 }],
    ['join', member],
    ['leave', member],
  ]);
  assert.equal(events[3][1].code, 'too_large');
  assert.equal(client.subscribe('room'), room, 'one object a channel');
});

test('after a reconnect the missed messages follow, none twice', async (t) => {
  const { server, room, peer, log } = await subscribed(t, { position: { epoch: 'e', offset: 10 } });
  assert.deepEqual(room.position, { epoch: 'e', offset: 10 });
  peer.data('room', 11, 12);
  await until(() => log.length === 2);
  peer.socket.terminate();
  const again = await server.accept();
  const request = await again.subscribed({ epoch: 'e', offset: 15, recovered: true });
  assert.deepEqual(request.recover, { epoch: 'e', offset: 12 });
  // A server that sends too much, and one whose numbers skip what a filter refused.
  again.data('room', 11, 12, 13, 15, 15, 18);
  await until(() => log.includes(18));
  assert.deepEqual(log, [11, 12, 13, 15, 18]);
});

test('a channel in which nothing was heard is recovered from where it was subscribed', async (t) => {
  const { server, peer, log } = await subscribed(t, { position: { epoch: 'e', offset: 10 } });
  peer.socket.terminate();
  const again = await server.accept();
  const { recover } = await again.subscribed({ epoch: 'e', offset: 11, recovered: true });
  assert.deepEqual(recover, { epoch: 'e', offset: 10 });
  again.data('room', 11);
  await until(() => log.length === 1);
});

test('history comes first, once, and is not asked for again', async (t) => {
  const { server, peer, log } = await subscribed(t, { history: 3, position: { epoch: 'e', offset: 10 } });
  // The connection ends in the midst of it.
  peer.data('room', 8, 9);
  await until(() => log.length === 2);
  peer.socket.terminate();
  const again = await server.accept();
  const request = await again.subscribed({ epoch: 'e', offset: 10, recovered: true });
  assert.deepEqual([request.history, request.recover], [undefined, { epoch: 'e', offset: 9 }]);
  again.data('room', 10, 11);
  await until(() => log.length === 4);
  assert.deepEqual(log, [8, 9, 10, 11]);
});

test('a connection that ends before the history came costs none of it', async (t) => {
  const { server, peer } = await subscribed(t, { history: 3, position: { epoch: 'e', offset: 10 } });
  peer.socket.terminate();
  const { recover } = await (await server.accept()).subscribed({ epoch: 'e', offset: 10, recovered: true });
  assert.deepEqual(recover, { epoch: 'e', offset: 7 });
});

test('what could not be recovered is one gap, then what is newer', async (t) => {
  const { server, peer, log } = await subscribed(t, { position: { epoch: 'e', offset: 10 } });
  peer.data('room', 11);
  await until(() => log.length === 1);
  peer.socket.terminate();
  const again = await server.accept();
  await again.subscribed({ epoch: 'e', offset: 90, recovered: false });
  again.data('room', 89, 90, 91);
  await until(() => log.includes(91));
  assert.deepEqual(log, [11, { reason: 'unrecovered', epoch: 'e', offset: 90 }, 89, 90, 91]);
});

test('of what is still kept, only what was not seen is delivered', async (t) => {
  const { server, peer, log } = await subscribed(t, { position: { epoch: 'e', offset: 10 } });
  peer.data('room', 11, 12);
  await until(() => log.length === 2);
  peer.socket.terminate();
  const again = await server.accept();
  await again.subscribed({ epoch: 'e', offset: 13, recovered: false });
  again.data('room', 10, 11, 12, 13, 14);
  await until(() => log.includes(14));
  assert.deepEqual(log, [11, 12, { reason: 'unrecovered', epoch: 'e', offset: 13 }, 13, 14]);
});

test('another epoch is a gap, and all that it keeps is new', async (t) => {
  const { server, room, peer, log } = await subscribed(t, { position: { epoch: 'e', offset: 10 } });
  peer.data('room', 11);
  await until(() => log.length === 1);
  peer.socket.terminate();
  let again = await server.accept();
  await again.subscribed({ epoch: 'f', offset: 2, recovered: false });
  again.data('room', 1, 2, 3);
  await until(() => log.length === 5);
  assert.deepEqual(log, [11, { reason: 'unrecovered', epoch: 'f', offset: 2 }, 1, 2, 3]);
  assert.deepEqual(room.position, { epoch: 'f', offset: 3 });
  again.socket.terminate();
  again = await server.accept();
  const { recover } = await again.subscribed({ epoch: 'f', offset: 3, recovered: true });
  assert.deepEqual(recover, { epoch: 'f', offset: 3 });
  await settle();
  assert.equal(log.length, 5);
});

test('a server whose numbers went back is a gap, and its new messages are heard', async (t) => {
  const { server, peer, log } = await subscribed(t, { position: { epoch: 'e', offset: 10 } });
  peer.socket.terminate();
  const again = await server.accept();
  await again.subscribed({ epoch: 'e', offset: 5, recovered: false });
  again.data('room', 6);
  await until(() => log.length === 2);
  assert.deepEqual(log, [{ reason: 'unrecovered', epoch: 'e', offset: 5 }, 6]);
});

test('without recover a reconnect goes on with what comes', async (t) => {
  const { server, peer, log } = await subscribed(t, { recover: false, position: { epoch: 'e', offset: 10 } });
  peer.data('room', 11);
  await until(() => log.length === 1);
  peer.socket.terminate();
  const again = await server.accept();
  const request = await again.subscribed({ epoch: 'e', offset: 20 });
  assert.equal(request.recover, undefined);
  again.data('room', 21);
  await until(() => log.length === 2);
  assert.deepEqual(log, [11, 21]);
});

test('a position that was kept is recovered from at the first time', async (t) => {
  const { request, peer, log } = await subscribed(t, {
    recover: { epoch: 'e', offset: 7 },
    position: { epoch: 'e', offset: 8, recovered: true },
  });
  assert.deepEqual(request.recover, { epoch: 'e', offset: 7 });
  peer.data('room', 7, 8);
  await until(() => log.length === 1);
  assert.deepEqual(log, [8]);
});

test('a channel without history has no position and no gaps', async (t) => {
  const { server, room, peer, log } = await subscribed(t);
  assert.equal(room.position, undefined);
  peer.socket.terminate();
  const again = await server.accept();
  assert.equal((await again.subscribed()).recover, undefined);
  again.send({ type: 'data', channel: 'room', data: 'x' }, { type: 'data', channel: 'room', data: 'x' });
  await until(() => log.length === 2);
  assert.deepEqual(log, ['x', 'x']);
});

test('binary messages are bytes, and recovery does not repeat them', async (t) => {
  const { server, peer, room } = await subscribed(t, { position: { epoch: 'e', offset: 0 } });
  const got = [];
  room.on('message', (message) => got.push(message.data instanceof Uint8Array ? message.data[0] : message.data.n));
  const bytes = (...values) => values.map((value) => new Uint8Array([4, ...Buffer.from('room'), value]));
  peer.data('room', 1);
  peer.send(...bytes(20, 30, 20));
  await until(() => got.length === 4);
  peer.socket.terminate();
  let again = await server.accept();
  assert.equal((await again.subscribed({ epoch: 'e', offset: 6, recovered: true })).recover.offset, 1);
  again.send(...bytes(20, 30, 20, 30, 20));
  again.send(...bytes(20));
  await until(() => got.length === 7);
  assert.deepEqual(got, [1, 20, 30, 20, 30, 20, 20]);
  again.socket.terminate();

  again = await server.accept();
  await again.subscribed({ epoch: 'e', offset: 8, recovered: true });
  again.send(...bytes(20, 30, 20, 30, 20, 20));
  again.data('room', 8);
  again.send(...bytes(20));
  await until(() => got.length === 9);
  assert.deepEqual(got.slice(7), [8, 20]);
});

test('a refused subscription throws, tells, and is over', async (t) => {
  const server = await fakeServer(t);
  const client = server.client();
  const room = client.subscribe('room');
  const told = once(room, 'error');
  const loop = room[Symbol.asyncIterator]().next();
  const peer = await server.accept();
  const request = await peer.expect('subscribe');
  peer.answer(request, { type: 'error', code: 'permission_denied', message: 'No.' });
  await assert.rejects(room.ready, { code: 'permission_denied', channel: 'room' });
  await assert.rejects(loop, { code: 'permission_denied' });
  assert.equal((await told).code, 'permission_denied');
  assert.notEqual(client.subscribe('room'), room);
  await peer.expect('subscribe');
});

test('a refusal that passes is asked again, not before its time', async (t) => {
  const server = await fakeServer(t);
  const timers = new ManualTimers();
  const client = server.client({ timers, random: () => 0.5, backoffBase: 100 });
  const room = client.subscribe('room');
  const peer = await server.accept();
  const first = await peer.expect('subscribe');
  const told = once(room, 'error');
  peer.answer(first, { type: 'error', code: 'rate_limited', message: 'Slow.', retry_after: 2 });
  assert.equal((await told).retryAfter, 2);
  assert.ok(timers.delays.includes(2050), `${timers.delays}`);
  timers.advance(2050);
  await peer.subscribed();
  await room.ready;
});

test('an unsubscribed channel is silent, and may be subscribed anew', async (t) => {
  const { client, room, peer, log } = await subscribed(t);
  const left = room.unsubscribe();
  const next = client.subscribe('room');
  assert.notEqual(next, room);
  const heard = [];
  next.on('message', (message) => heard.push(message.data));
  const unsubscribe = await peer.expect('unsubscribe');
  peer.send({ type: 'data', channel: 'room', data: 'late' });
  peer.answer(unsubscribe, { type: 'unsubscribed' });
  await peer.subscribed();
  peer.send({ type: 'data', channel: 'room', data: 'new' });
  await left;
  await until(() => heard.length > 0);
  assert.deepEqual([log, heard], [[], ['new']]);
  await room.unsubscribe();
});

test('a subscription that the server ends is over', async (t) => {
  const { room, peer } = await subscribed(t);
  const loop = room[Symbol.asyncIterator]().next();
  peer.send({ type: 'unsubscribed', channel: 'room' });
  await assert.rejects(loop, { code: 'unsubscribed' });
});

test('new options replace the old ones without asking for the past again', async (t) => {
  const { server, client, room, peer, log } = await subscribed(t, { history: 2, position: { epoch: 'e', offset: 2 } });
  peer.data('room', 1, 2);
  await until(() => log.length === 2);
  assert.equal(client.subscribe('room', { history: 2, data: 'b' }), room);
  const request = await peer.subscribed({ epoch: 'e', offset: 2 });
  assert.deepEqual([request.data, request.history, request.recover], ['b', undefined, undefined]);
  peer.data('room', 3);
  await until(() => log.length === 3);
  peer.socket.terminate();
  const again = await (await server.accept()).subscribed({ epoch: 'e', offset: 3, recovered: true });
  assert.deepEqual([again.data, again.recover], ['b', { epoch: 'e', offset: 3 }]);
});

test('new options while recovery is under way make no second gap', async (t) => {
  const { server, client, peer, log } = await subscribed(t, { position: { epoch: 'e', offset: 2 } });
  peer.socket.terminate();
  const again = await server.accept();
  const recovering = await again.expect('subscribe');
  client.subscribe('room', { data: 'b' });
  const replacing = await again.expect('subscribe');
  const answer = { type: 'subscribed', epoch: 'f', offset: 1, recovered: false };
  again.answer(recovering, answer);
  again.data('room', 1);
  again.answer(replacing, answer);
  again.data('room', 1, 2);
  await until(() => log.includes(2));
  assert.deepEqual(log, [{ reason: 'unrecovered', epoch: 'f', offset: 1 }, 1, 2]);
});

test('for await has every message from the subscribe on, even those before the loop', async (t) => {
  const server = await fakeServer(t);
  const client = server.client();
  const room = client.subscribe('room', { history: 2 });
  const peer = await server.accept();
  await peer.subscribed({ epoch: 'e', offset: 2 });
  peer.data('room', 1, 2);
  await room.ready;
  await settle();
  const got = [];
  for await (const message of room) {
    got.push(message.offset);
    if (got.length === 2) peer.data('room', 3);
    if (got.length === 3) break;
  }
  assert.deepEqual(got, [1, 2, 3]);
});

test('a late listener hears what came before it, once', async (t) => {
  const server = await fakeServer(t);
  const client = server.client();
  const room = client.subscribe('room');
  const peer = await server.accept();
  await peer.subscribed();
  peer.data('room', 1, 2);
  await room.ready;
  await settle();
  const [first, second] = [[], []];
  room.on('message', (message) => first.push(message.offset));
  room.on('message', (message) => second.push(message.offset));
  peer.data('room', 3);
  await until(() => second.length === 1);
  assert.deepEqual([first, second], [[1, 2, 3], [3]]);
});

test('loops end with unsubscribe and close, and throw when the server ends it all', async (t) => {
  const { server, client, room, peer } = await subscribed(t);
  const drain = async (subscription) => {
    const got = [];
    for await (const message of subscription) got.push(message.data);
    return got;
  };
  const first = drain(room);
  peer.send({ type: 'data', channel: 'room', data: 1 });
  await settle();
  void room.unsubscribe();
  assert.deepEqual(await first, [1]);
  const closing = drain(client.subscribe('other'));
  client.close();
  assert.deepEqual(await closing, []);

  const forbidden = server.client();
  const thrown = drain(forbidden.subscribe('room'));
  (await server.accept()).socket.close(4003, 'Out.');
  await assert.rejects(thrown, { code: 'closed', message: 'Closed with 4003: Out.' });
});

test('a loop that is too slow loses the oldest messages, and one gap says so', async (t) => {
  const { peer, room, log } = await subscribed(t, { position: { epoch: 'e', offset: 0 }, client: { buffer: 5 } });
  const loop = room[Symbol.asyncIterator]();
  peer.data('room', 1, 2, 3, 4, 5, 6, 7, 8);
  await until(() => log.includes(8));
  assert.deepEqual(log.filter((entry) => entry.reason), [{ reason: 'overflow', epoch: 'e', offset: 1 }]);
  const got = [];
  for (let n = 0; n < 5; n++) got.push((await loop.next()).value.offset);
  assert.deepEqual(got, [4, 5, 6, 7, 8]);
  // It has caught up: falling behind again is another gap.
  peer.data('room', 9, 10, 11, 12, 13, 14);
  await until(() => log.includes(14));
  assert.equal(log.filter((entry) => entry.reason).length, 2);
  await loop.return();
  assert.deepEqual(await loop.next(), { value: undefined, done: true });
});

test('a policy is asked for, also after a reconnect, and what was dropped is told in its place', async (t) => {
  const { server, peer, request, room, log } = await subscribed(t, { policy: 'drop_oldest' });
  assert.equal(request.policy, 'drop_oldest');
  room.on('dropped', (dropped) => log.push(dropped));
  peer.send(
    { type: 'data', channel: 'room', data: 1 },
    { type: 'dropped', channel: 'room', count: 3 },
    { type: 'dropped', channel: 'elsewhere', count: 9 },
    { type: 'data', channel: 'room', data: 5 },
  );
  await until(() => log.length === 3);
  assert.deepEqual(log, [1, { count: 3 }, 5]);
  peer.socket.terminate();
  assert.equal((await (await server.accept()).subscribed()).policy, 'drop_oldest');
});

test('ten thousand messages wait for a loop, in order', async (t) => {
  const { peer, room, log } = await subscribed(t, { position: { epoch: 'e', offset: 0 } });
  const loop = room[Symbol.asyncIterator]();
  for (let offset = 1; offset <= 10_000; offset++) peer.data('room', offset);
  await until(() => log.length === 10_000);
  for (let offset = 1; offset <= 10_000; offset++) assert.equal((await loop.next()).value.offset, offset);
});

test('a listener that throws does not stop the others, and is reported', async (t) => {
  const { peer, room, log } = await subscribed(t);
  // `node:test` listens too, and would fail the test for it.
  const others = process.listeners('uncaughtException');
  process.removeAllListeners('uncaughtException');
  t.after(() => others.forEach((listener) => process.on('uncaughtException', listener)));
  const reported = new Promise((resolve) => process.once('uncaughtException', resolve));
  room.on('message', () => {
    throw new Error('mine');
  });
  const after = [];
  const off = room.on('message', (message) => after.push(message.data));
  peer.send({ type: 'data', channel: 'room', data: 1 });
  assert.equal((await reported).message, 'mine');
  assert.deepEqual([log, after], [[1], [1]]);
  off();
});

test('what comes on a channel that was not subscribed here is the client’s to tell', async (t) => {
  const { client, peer } = await subscribed(t);
  await state(client, 'open');
  const heard = once(client, 'message');
  peer.send({ type: 'data', channel: 'granted', data: 1 });
  assert.deepEqual(await heard, { channel: 'granted', data: 1 });
});
