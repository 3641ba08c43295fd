// A server that says only what a test tells it to. `peer.next()` is the client's next frame;
// `accept()` its next connection.

import { WebSocketServer, WebSocket } from 'ws';
import { Tidegate } from '../dist/tidegate.js';

class Inbox {
  #items = [];
  #waiting = [];

  put(item) {
    const waiting = this.#waiting.shift();
    if (waiting) waiting(item);
    else this.#items.push(item);
  }

  get size() {
    return this.#items.length;
  }

  take(what) {
    if (this.#items.length > 0) return Promise.resolve(this.#items.shift());
    return new Promise((resolve, reject) => {
      const late = setTimeout(() => reject(new Error(`waited too long for ${what}`)), 5_000);
      this.#waiting.push((item) => (clearTimeout(late), resolve(item)));
    });
  }
}

class Peer {
  #frames = new Inbox();

  constructor(socket) {
    this.socket = socket;
    this.closed = new Promise((resolve) => socket.on('close', resolve));
    socket.on('message', (data, binary) => this.#frames.put(binary ? data : JSON.parse(data.toString())));
  }

  get waiting() {
    return this.#frames.size;
  }

  next() {
    return this.#frames.take('a frame');
  }

  /** The next frame, which must be of this type. */
  async expect(type) {
    const frame = await this.next();
    if (frame.type !== type) throw new Error(`wanted ${type}, got ${JSON.stringify(frame)}`);
    return frame;
  }

  send(...frames) {
    for (const frame of frames) this.socket.send(frame instanceof Uint8Array ? frame : JSON.stringify(frame));
  }

  /** Answers a request: its id is echoed. */
  answer(request, frame) {
    this.send({ channel: request.channel, ...frame, id: request.id });
  }

  /** Answers the next subscribe; what it asked for is returned. */
  async subscribed(position = {}) {
    const request = await this.expect('subscribe');
    this.answer(request, { type: 'subscribed', ...position });
    return request;
  }

  data(channel, ...offsets) {
    for (const offset of offsets) {
      this.send({ type: 'data', channel, data: { n: offset }, offset, timestamp: 1.5 });
    }
  }
}

/** The server and its clients end with the test. */
export async function fakeServer(t) {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
  await new Promise((resolve) => server.on('listening', resolve));
  const connections = new Inbox();
  const clients = [];
  server.on('connection', (socket) => connections.put(new Peer(socket)));
  t.after(async () => {
    for (const client of clients) client.close();
    for (const socket of server.clients) socket.terminate();
    await new Promise((resolve) => server.close(resolve));
  });
  const url = `ws://127.0.0.1:${server.address().port}/ws`;
  return {
    url,
    connections,
    accept: () => connections.take('a connection'),
    /** A client whose reconnects do not wait, unless the options say otherwise. */
    client(options = {}) {
      const client = new Tidegate(url, { WebSocket, backoffBase: 1, ...options });
      clients.push(client);
      return client;
    },
  };
}

/** Timers that run when the test says so. */
export class ManualTimers {
  #now = 0;
  #timers = new Map();
  #next = 1;

  set = (callback, ms) => {
    this.#timers.set(this.#next, { callback, ms, at: this.#now + ms });
    return this.#next++;
  };
  clear = (timer) => void this.#timers.delete(timer);
  now = () => this.#now;

  /** The delays of what is waiting. */
  get delays() {
    return [...this.#timers.values()].map((timer) => timer.ms);
  }

  advance(ms) {
    const end = this.#now + ms;
    for (;;) {
      const due = [...this.#timers].filter(([, timer]) => timer.at <= end).sort((a, b) => a[1].at - b[1].at)[0];
      if (!due) break;
      this.#timers.delete(due[0]);
      this.#now = due[1].at;
      due[1].callback();
    }
    this.#now = end;
  }
}

/** The next value of an event. */
export function once(emitter, event, which = () => true) {
  return new Promise((resolve) => {
    const off = emitter.on(event, (value) => {
      if (!which(value)) return;
      off();
      resolve(value);
    });
  });
}

export const state = (client, wanted) =>
  client.state === wanted ? Promise.resolve() : once(client, 'state', (change) => change.state === wanted);

export async function until(condition, what = 'a condition') {
  for (let tries = 0; !condition(); tries++) {
    if (tries > 1_000) throw new Error(`waited too long for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}
