// Connecting, showing the token, noticing a dead connection, coming back.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { WebSocket } from 'ws';
import { Tidegate } from '../dist/tidegate.js';
import { fakeServer, ManualTimers, once, state, until } from './fake-server.mjs';

test('a client connects and says so', async (t) => {
  const server = await fakeServer(t);
  const client = server.client();
  assert.equal(client.state, 'connecting');
  await server.accept();
  await state(client, 'open');
  client.close();
  assert.equal(client.state, 'closed');
});

test('without any WebSocket the constructor says what is missing', { skip: 'WebSocket' in globalThis }, () => {
  assert.throws(() => new Tidegate('ws://localhost/ws'), /option `WebSocket`/);
  assert.throws(() => new Tidegate('not a url', { WebSocket }), TypeError);
});

test('an http URL is a WebSocket URL too', async (t) => {
  let dialled;
  class Spy {
    constructor(url) {
      dialled = url;
    }
    close() {}
  }
  const client = new Tidegate('https://example.test/ws', { WebSocket: Spy });
  t.after(() => client.close());
  await until(() => dialled);
  assert.equal(dialled, 'wss://example.test/ws');
});

test('the delays have full jitter between nothing and a doubling bound, up to the cap', async (t) => {
  const bounds = [];
  for (const random of [0, 0.5, 1]) {
    const timers = new ManualTimers();
    const delays = [];
    class Refusing {
      constructor() {
        queueMicrotask(() => this.onclose({ code: 1006, reason: '' }));
      }
      close() {}
    }
    const client = new Tidegate('ws://localhost/ws', { WebSocket: Refusing, timers, random: () => random });
    t.after(() => client.close());
    for (let attempt = 0; attempt < 9; attempt++) {
      await once(client, 'state');
      delays.push(timers.delays[0]);
      assert.equal(timers.delays.length, 1);
      timers.advance(timers.delays[0]);
    }
    bounds.push(delays);
  }
  const full = [250, 500, 1000, 2000, 4000, 8000, 16000, 20000, 20000];
  assert.deepEqual(bounds, [full.map(() => 0), full.map((ms) => ms / 2), full]);
});

test('a connection that lasted makes the next delay small again, one that did not does not', async (t) => {
  const server = await fakeServer(t);
  const timers = new ManualTimers();
  const client = server.client({ timers, random: () => 1, backoffBase: 100 });
  const cut = async (lasted) => {
    const peer = await server.accept();
    await state(client, 'open');
    timers.advance(lasted);
    peer.socket.terminate();
    await state(client, 'connecting');
    const [delay] = timers.delays;
    timers.advance(delay);
    return delay;
  };
  assert.deepEqual([await cut(0), await cut(0), await cut(4_999), await cut(5_000), await cut(0)], [100, 200, 400, 100, 200]);
});

test('a server that goes away says when to come back', async (t) => {
  const server = await fakeServer(t);
  for (const reason of ['Server going away. retry_after=7', '{"retry_after": 7}', 'Bye. retry_after=7.']) {
    const timers = new ManualTimers();
    const client = server.client({ timers, random: () => 0.5, backoffBase: 100 });
    const peer = await server.accept();
    await state(client, 'open');
    peer.socket.close(1001, reason);
    await state(client, 'connecting');
    assert.deepEqual(timers.delays, [7050]);
    client.close();
    assert.deepEqual(timers.delays, []);
  }
});

test('a token is shown first, and nothing is sent before it is accepted', async (t) => {
  const server = await fakeServer(t);
  const client = server.client({ token: 'secret' });
  client.subscribe('room');
  const peer = await server.accept();
  const auth = await peer.expect('auth');
  assert.equal(auth.token, 'secret');
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.equal(peer.waiting, 0);
  assert.equal(client.state, 'connecting');
  peer.answer(auth, { type: 'authenticated', user: 'ada' });
  await peer.subscribed();
  assert.deepEqual([client.state, client.user], ['open', 'ada']);
  peer.send({ type: 'authenticated', user: 'ada the second' });
  await until(() => client.user === 'ada the second');
  peer.socket.terminate();
  await state(client, 'connecting');
  assert.equal(client.user, undefined, 'nobody, until the server says so again');
});

test('the token callback is called for each connection and when the token expires', async (t) => {
  const server = await fakeServer(t);
  let calls = 0;
  const client = server.client({ token: async () => `token ${++calls}` });
  for (const want of ['token 1', 'token 3']) {
    const peer = await server.accept();
    const auth = await peer.expect('auth');
    assert.equal(auth.token, want);
    peer.answer(auth, { type: 'authenticated', user: 'ada' });
    await state(client, 'open');
    if (want === 'token 3') break;
    peer.send({ type: 'expiring' });
    const renewed = await peer.expect('auth');
    assert.equal(renewed.token, 'token 2');
    peer.answer(renewed, { type: 'authenticated', user: 'ada' });
    assert.equal(client.state, 'open');
    peer.socket.close(1011);
    await state(client, 'connecting');
  }
});

test('a token callback that fails is reported and called again', async (t) => {
  const server = await fakeServer(t);
  let calls = 0;
  const client = server.client({
    token: () => {
      if (++calls < 3) throw new Error('offline');
      return 'late';
    },
  });
  const errors = [];
  client.on('error', (error) => errors.push(error.code));
  const peer = await server.accept();
  assert.equal((await peer.expect('auth')).token, 'late');
  assert.deepEqual(errors, ['token', 'token']);
});

test('after 4001 a client comes back only with a fresh token', async (t) => {
  const server = await fakeServer(t);
  const fixed = server.client({ token: 'old' });
  (await server.accept()).socket.close(4001, 'The token has expired.');
  const change = await once(fixed, 'state', (change) => change.state === 'closed');
  assert.deepEqual(change, { state: 'closed', code: 4001, reason: 'The token has expired.' });

  const tokens = ['a', 'b', 'b'];
  const client = server.client({ token: () => tokens.shift() });
  const closed = once(client, 'state', (change) => change.state === 'closed');
  for (const want of ['a', 'b']) {
    const peer = await server.accept();
    assert.equal((await peer.expect('auth')).token, want);
    peer.socket.close(4001, 'No.');
  }
  assert.equal((await closed).code, 4001);
  assert.deepEqual(tokens, []);
  assert.equal(server.connections.size, 0);
});

test('an error as the answer to a token is a refusal too', async (t) => {
  const server = await fakeServer(t);
  const client = server.client({ token: 'bad' });
  const closed = once(client, 'state', (change) => change.state === 'closed');
  const peer = await server.accept();
  const auth = await peer.expect('auth');
  peer.answer(auth, { type: 'error', code: 'permission_denied', message: 'Bad token.' });
  assert.deepEqual(await closed, { state: 'closed', code: 4001, reason: 'Bad token.' });
});

test('after 4003 and 4004 a client does not come back', async (t) => {
  const server = await fakeServer(t);
  for (const code of [4003, 4004]) {
    const client = server.client({ token: () => `${Math.random()}` });
    const closed = once(client, 'state', (change) => change.state === 'closed');
    (await server.accept()).socket.close(code, 'Out.');
    assert.equal((await closed).code, code);
    await assert.rejects(client.publish('room', 1), { code: 'disconnected' });
    await assert.rejects(client.subscribe('room').ready, { code: 'disconnected' });
  }
});

test('silence is asked about, and a server that does not answer is left', async (t) => {
  const server = await fakeServer(t);
  const timers = new ManualTimers();
  const client = server.client({ timers, random: () => 0 });
  const heard = [];
  client.on('message', (message) => heard.push(message));
  const peer = await server.accept();
  await state(client, 'open');
  timers.advance(29_999);
  peer.send({ type: 'data', channel: 'x', data: 1 });
  await until(() => heard.length === 1);
  timers.advance(29_999);
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.equal(peer.waiting, 0, 'what was heard counts');
  timers.advance(1);
  await peer.expect('ping');
  peer.send({ type: 'pong' }, { type: 'data', channel: 'x', data: 2 });
  await until(() => heard.length === 2);
  timers.advance(10_000);
  assert.equal(client.state, 'open');
  timers.advance(20_000);
  await peer.expect('ping');
  timers.advance(9_999);
  assert.equal(client.state, 'open');
  const lost = once(client, 'state');
  timers.advance(1);
  assert.equal((await lost).code, 4000);
  await server.accept();
});

test('a connection that does not open in time is tried anew', async (t) => {
  const server = await fakeServer(t);
  const timers = new ManualTimers();
  const client = server.client({ token: 'x', timers, random: () => 0 });
  const peer = await server.accept();
  await peer.expect('auth');
  timers.advance(10_000);
  assert.equal(client.state, 'connecting');
  timers.advance(0);
  await server.accept();
});

test('what is not JSON is reported, and the connection goes on', async (t) => {
  const server = await fakeServer(t);
  const client = server.client();
  const peer = await server.accept();
  await state(client, 'open');
  const error = once(client, 'error');
  peer.socket.send('{');
  peer.socket.send('null');
  peer.socket.send('5');
  peer.socket.send(new Uint8Array([9, 97]));
  peer.socket.send('{"type":"news from the future"}');
  assert.equal((await error).code, 'bad_frame');
  const answer = client.action('hello');
  const request = await peer.expect('action');
  peer.answer(request, { type: 'action', status: 'completed', data: 'hi' });
  assert.equal(await answer, 'hi');
});
