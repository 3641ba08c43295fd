// What clients do with a real server, in Node and in a browser alike: nothing is imported
// here, so that a page can load it too. The server must know the channels `room:*`, which keep
// at least 10,000 messages, and `ring:*`, which keep five; with tokens also users' own channels,
// which everybody may publish to, and which keep what was missed.

const NUMBERS = 5_000;
const CUTS = 20;
/** So far the writer is ahead of the reader: less than is kept, and more than one replay's worth. */
const AHEAD = 500;
/** Of one scenario. */
const BOUND_MS = 15_000;

function equal(found, wanted, what) {
  const [is, should] = [found, wanted].map((value) => JSON.stringify(value));
  if (is !== should) throw new Error(`${what}: ${is} instead of ${should}`);
}

/** The next value of an event. */
function once(emitter, event) {
  return new Promise((resolve) => {
    const off = emitter.on(event, (value) => (off(), resolve(value)));
  });
}

/** The code that a promise is rejected with. */
const refusal = (promise) => promise.then(() => 'no refusal', (error) => error.code);

const plain = ({ data }) => (data instanceof Uint8Array ? [...data] : data);

async function take(loop, count) {
  const got = [];
  while (got.length < count) got.push((await loop.next()).value);
  return got;
}

/** A promise and the function that ends it. */
function gate() {
  let open;
  const passed = new Promise((resolve) => (open = resolve));
  return { passed, open };
}

/** A reader that does not come back before it may: `away` cuts it off, `back` lets it dial. */
function absentee({ client, tokens }) {
  let may = gate();
  may.open();
  const reader = client({ user: 1, token: () => may.passed.then(() => tokens[1]) });
  return {
    reader,
    async away() {
      may = gate();
      const lost = once(reader, 'state');
      reader.cut();
      await lost;
    },
    back: () => may.open(),
  };
}

export const scenarios = {
  async 'a message published is a message received'({ client, channel }) {
    const ada = client();
    const room = ada.subscribe(channel('room'));
    await room.ready;
    const answer = await ada.publish(room.channel, { text: 'héllo' }, { event: 'said' });
    const [message] = await take(room[Symbol.asyncIterator](), 1);
    equal([message.channel, message.data, message.event], [room.channel, { text: 'héllo' }, 'said'], 'the message');
    equal([answer.offset, message.offset, room.position.offset], [1, 1, 1], 'its offset');
    equal(Math.abs(message.timestamp - Date.now() / 1000) < 60, true, 'the time of now');
    await room.unsubscribe();
  },

  async 'bytes come back as they were'({ client, channel }) {
    const ada = client();
    const room = ada.subscribe(channel('room'));
    await room.ready;
    await ada.publish(room.channel, new Uint8Array([0, 1, 255]));
    equal((await take(room[Symbol.asyncIterator](), 1)).map(plain), [[0, 1, 255]], 'bytes');
  },

  async 'an action that nobody offers is refused'({ client }) {
    const error = await client().action('no-such-action').catch((error) => error);
    equal([error.code, error.message], ['action_not_found', "Action 'no-such-action' not found."], 'the refusal');
  },

  async 'a thousand messages arrive in order'({ client, channel }) {
    const [writer, room] = [client(), client({ user: 1 }).subscribe(channel('room'))];
    await room.ready;
    const published = [];
    for (let n = 1; n <= 1_000; n++) published.push(writer.publish(room.channel, n));
    for (const [at, message] of (await take(room[Symbol.asyncIterator](), 1_000)).entries()) {
      equal([message.data, message.offset], [at + 1, at + 1], 'the next message');
    }
    equal((await Promise.all(published)).map(({ offset }) => offset).at(-1), 1_000, 'the last answer');
  },

  async 'the server says who one is'({ client, channel, tokens }) {
    const ada = client();
    const room = ada.subscribe(channel('room'));
    await room.ready;
    equal(Boolean(ada.user), Boolean(tokens[0]), 'with a token there is a user');
    await ada.publish(room.channel, 1);
    const [{ sender }] = await take(room[Symbol.asyncIterator](), 1);
    equal(sender, ada.user ?? sender, 'the sender');
  },

  async 'who comes and goes is seen'({ client, channel }) {
    const [ada, bob] = [client(), client({ user: 1 })];
    const room = ada.subscribe(channel('room'), { presence: true });
    equal((await room.ready).members, [], 'nobody is there');

    let event = once(room, 'join');
    await bob.join(room.channel, { n: 1 });
    const joined = await event;
    equal([joined.user_id, joined.n], [bob.user ?? joined.user_id, 1], 'who came');
    equal(await ada.presence(room.channel), { count: 1, members: [joined] }, 'the list');
    const late = bob.subscribe(room.channel, { presence: true });
    equal((await late.ready).members, [joined], 'the list with `subscribed`');

    event = once(room, 'join');
    await bob.join(room.channel, { n: 2, more: [1] });
    equal(await event, { ...joined, n: 2, more: [1] }, 'new metadata');

    event = once(room, 'leave');
    const again = event.then(() => once(room, 'join'));
    bob.cut();
    await event;
    const { joined_at: _, ...back } = await again;
    equal(back, { user_id: bob.user ?? back.user_id, n: 2, more: [1] }, 'back after a cut, with the newest metadata');

    event = once(room, 'leave');
    await bob.leave(room.channel);
    equal((await event).n, 2, 'who left');
    equal(await ada.presence(room.channel), { count: 0, members: [] }, 'nobody again');
  },

  async 'what is kept can be read, bytes too'({ client, channel }) {
    const [ada, name] = [client(), channel('room')];
    await ada.publish(name, { n: 1 });
    await ada.publish(name, new Uint8Array([0, 255, 7]));
    await ada.publish(name, { n: 3 }, { event: 'said' });
    const all = await ada.history(name);
    equal([all.offset, all.complete], [3, true], 'the history');
    equal(all.messages.map(plain), [{ n: 1 }, [0, 255, 7], { n: 3 }], 'its messages');
    equal(all.messages.map(({ channel, offset }) => [channel, offset]), [1, 2, 3].map((n) => [name, n]), 'their offsets');
    equal([all.messages[1].data instanceof Uint8Array, all.messages[2].event], [true, 'said'], 'their kind');
    equal((await ada.history(name, { limit: 2 })).messages.map(plain), [[0, 255, 7], { n: 3 }], 'the last two');
    const since = { epoch: all.epoch, offset: 1 };
    equal((await ada.history(name, { since, limit: 1 })).messages.map(plain), [[0, 255, 7]], 'the next one');

    const room = client({ user: 1 }).subscribe(name, { history: 2 });
    await room.ready;
    await ada.publish(name, { n: 4 });
    const got = await take(room[Symbol.asyncIterator](), 3);
    equal(got.map(plain), [[0, 255, 7], { n: 3 }, { n: 4 }], 'history, then what is new');
  },

  async 'a receipt counts whom a message reached'({ client, channel }) {
    const [ada, bob] = [client(), client({ user: 1 })];
    const name = channel('room');
    await Promise.all([ada, bob].map((one) => one.subscribe(name).ready));
    const receipt = await ada.publish(name, 1, { receipt: true, echo: false });
    equal(receipt, { channel: name, offset: 1, delivered: 1, filtered: 0, excluded: 1 }, 'the receipt');
    equal(await ada.publish(name, 1), { channel: name, offset: 2 }, 'only who asks');
  },

  async 'a client that is cut off twenty times sees every number once and in order'({ client, channel }) {
    const [writer, reader] = [client(), client({ user: 1, backoffCap: 20 })];
    const room = reader.subscribe(channel('room'));
    await room.ready;
    let [seen, cuts, lost, wrong] = [0, 0, 0, ''];
    let progress = gate();
    reader.on('state', ({ state }) => (lost += state === 'connecting' ? 1 : 0));
    room.on('gap', (gap) => (wrong ||= `a gap after ${seen}: ${JSON.stringify(gap)}`));
    room.on('message', ({ data, offset }) => {
      seen++;
      if (data !== seen || offset !== seen) wrong ||= `${data} at ${offset} instead of ${seen}`;
      // In the midst of what comes: live, or a replay.
      if (seen >= (cuts + 1) * (NUMBERS / (CUTS + 2)) && cuts < CUTS && reader.cut()) cuts++;
      progress.open();
      progress = gate();
    });
    const published = [];
    for (let n = 1; n <= NUMBERS; n++) {
      while (n - seen > AHEAD && !wrong) await progress.passed;
      published.push(writer.publish(room.channel, n));
    }
    await Promise.all(published);
    while (seen < NUMBERS && !wrong) await progress.passed;
    equal(wrong, '', 'what went wrong');
    // Had there been a double, it would be before this answer.
    await reader.presence(room.channel);
    equal([wrong, seen, cuts, lost], ['', NUMBERS, CUTS, CUTS], 'wrong, seen, cut, lost');
  },

  async 'what is kept long enough is recovered, and what is not is a gap'(world) {
    const [writer, name] = [world.client(), world.channel('ring')];
    const { reader, away, back } = absentee(world);
    const room = reader.subscribe(name);
    await room.ready;
    const heard = [];
    room.on('gap', (gap) => heard.push(gap));
    const loop = room[Symbol.asyncIterator]();
    const say = async (from, to) => {
      for (let n = from; n <= to; n++) await writer.publish(name, n);
    };
    const hears = async (wanted, what) => equal((await take(loop, wanted.length)).map(plain), wanted, what);

    await say(1, 2);
    await writer.publish(name, new Uint8Array([3]));
    await hears([1, 2, [3]], 'at first');
    await away();
    await writer.publish(name, new Uint8Array([4]));
    await say(5, 6);
    back();
    await hears([[4], 5, 6], 'what was missed, and no bytes twice');
    equal(heard, [], 'no gap');

    await away();
    await say(7, 16);
    back();
    await hears([12, 13, 14, 15, 16], 'what is still kept');
    equal(heard, [{ reason: 'unrecovered', epoch: room.position.epoch, offset: 16 }], 'one gap');
    await say(17, 17);
    await hears([17], 'and what is new');
    equal(heard.length, 1, 'one gap is all');
  },

  async 'what is sent to a user that is away waits for it'(world) {
    if (!world.tokens[1]) return;
    const writer = world.client();
    const { reader, away, back } = absentee(world);
    await reader.presence(world.channel('room'));
    const name = `$user:${reader.user}`;
    // Nobody subscribes yet: what is said waits for the first who does.
    await writer.publish(name, 1);
    await writer.publish(name, 2);
    const own = reader.subscribe(name);
    const heard = [];
    own.on('gap', (gap) => heard.push(gap));
    const loop = own[Symbol.asyncIterator]();
    equal((await take(loop, 2)).map(plain), [1, 2], 'what waited');
    await writer.publish(name, 3);
    equal((await take(loop, 1)).map(plain), [3], 'live');
    await away();
    for (let n = 4; n <= 6; n++) await writer.publish(name, n);
    back();
    equal((await take(loop, 3)).map(plain), [4, 5, 6], 'what waited or was lost');
    equal(heard, [], 'no gap');
  },

  async 'a place that is not known, and a channel that does not allow it, are refused'({ client, channel }) {
    const ada = client();
    equal(await refusal(ada.subscribe('no such place').ready), 'channel_not_found', 'no such channel');
    equal(await refusal(ada.join(channel('room'), [1])), 'invalid_params', 'metadata that is no object');
    equal(await refusal(ada.subscribe(channel('room'), { filter: { plugin: 'none' } }).ready), 'invalid_params', 'no such filter');
  },
};

/**
 * Plays one. `kill(socket)` ends a socket as a cable does that is pulled; `tokens` are those of
 * two users, or none.
 */
export async function play(name, { Tidegate, WebSocket, url, tokens, kill }) {
  const clients = [];
  const unique = Math.random().toString(36).slice(2);
  const client = ({ user = 0, ...options } = {}) => {
    let current;
    class Cuttable extends WebSocket {
      constructor(...args) {
        super(...args);
        current = this;
      }
    }
    const made = new Tidegate(url, { token: tokens[user], WebSocket: Cuttable, backoffBase: 20, ...options });
    /** False if there is nothing left to cut. */
    made.cut = () => {
      const socket = current;
      current = undefined;
      if (socket) kill(socket);
      return Boolean(socket);
    };
    clients.push(made);
    return made;
  };
  let channels = 0;
  const channel = (kind) => `${kind}:${unique}-${channels++}`;
  let late;
  const end = new Promise((_, reject) => {
    late = setTimeout(() => reject(new Error(`not done within ${BOUND_MS} ms`)), BOUND_MS);
  });
  try {
    await Promise.race([scenarios[name]({ client, tokens, channel }), end]);
  } finally {
    clearTimeout(late);
    for (const client of clients) client.close();
  }
}
