// One lasting connection made of many sockets: opens them, shows the token, notices when
// one is dead, and comes back. It knows nothing of channels.

import { Backoff } from './backoff.js';
import { TidegateError } from './errors.js';
import { decodeBinary, refusal, type Frame, type Message } from './frames.js';
import type { Timers } from './timers.js';

/** `connecting` also while it waits for the next attempt; `closed` is for good. */
export type State = 'connecting' | 'open' | 'closed';

/** `code` and `reason`: of the close that brought it about. */
export interface StateChange {
  state: State;
  code?: number;
  reason?: string;
}

/** The part of a WebSocket that is used: the browser's, or the `ws` package's. */
export interface WebSocketLike {
  binaryType: any;
  onopen: any;
  onmessage: any;
  onclose: any;
  onerror: any;
  send(data: any): void;
  close(code?: number, reason?: string): void;
}

export type WebSocketConstructor = new (url: string) => WebSocketLike;

export type Token = string | (() => string | Promise<string>);

export interface ConnectionOptions {
  token: Token | undefined;
  WebSocket: WebSocketConstructor;
  timers: Timers;
  random: () => number;
  /** All in milliseconds. */
  backoffBase: number;
  backoffCap: number;
  connectTimeout: number;
  pingAfter: number;
  pongTimeout: number;
}

/** What a connection tells its owner. */
export interface Handlers {
  state(change: StateChange): void;
  frame(frame: Frame): void;
  binary(message: Message<Uint8Array>): void;
  error(error: TidegateError): void;
}

const NOT_AUTHENTICATED = 4001;
const FORBIDDEN = 4003;
const DISCONNECTED_BY_API = 4004;
const GOING_AWAY = 1001;

/** A connection that did not last so long has not shown that the server is well. */
const STABLE_MS = 5_000;

/** Never a request's id: those are numbers. */
const AUTH_ID = 'auth';

export class Connection {
  /** Whom the server took the token for, as long as that connection lasts. */
  user: string | undefined;
  #state: State = 'connecting';
  #socket: WebSocketLike | undefined;
  /** One timer, as only one thing is waited for: the next attempt, the opening, or silence. */
  #timer: unknown;
  #heard = 0;
  #openedAt = 0;
  /** The token that was shown last, and the one that was refused. */
  #shown: string | undefined;
  #spent: string | undefined;
  readonly #url: string;
  readonly #options: ConnectionOptions;
  readonly #handlers: Handlers;
  readonly #backoff: Backoff;

  constructor(url: string, options: ConnectionOptions, handlers: Handlers) {
    this.#url = url;
    this.#options = options;
    this.#handlers = handlers;
    this.#backoff = new Backoff(options.backoffBase, options.backoffCap, options.random);
  }

  get state(): State {
    return this.#state;
  }

  /** Only while open. */
  send(data: string | Uint8Array): void {
    this.#socket!.send(data);
  }

  close(): void {
    const socket = this.#socket;
    this.#end(1000, '');
    socket?.close(1000);
  }

  async start(): Promise<void> {
    let token: string | undefined;
    try {
      token = await this.#token();
    } catch (error) {
      if (this.#state === 'closed') return;
      this.#handlers.error(tokenFailed(error));
      return this.#retry();
    }
    if (this.#state === 'closed') return;
    // Showing again what was refused would be refused again, forever.
    if (token !== undefined && token === this.#spent) {
      return this.#end(NOT_AUTHENTICATED, 'The token was refused, and there is no fresh one.');
    }
    this.#dial(token);
  }

  async #token(): Promise<string | undefined> {
    const { token } = this.#options;
    return (typeof token === 'function' ? await token() : token) || undefined;
  }

  #dial(token: string | undefined): void {
    let socket: WebSocketLike;
    try {
      socket = new this.#options.WebSocket(this.#url);
    } catch (error) {
      this.#handlers.error(new TidegateError('disconnected', String(error)));
      return this.#retry();
    }
    this.#socket = socket;
    this.#shown = token;
    socket.binaryType = 'arraybuffer';
    socket.onopen = () => {
      if (socket !== this.#socket) return;
      if (token === undefined) this.#opened();
      else this.#show(token);
    };
    socket.onmessage = (event: { data: unknown }) => {
      if (socket === this.#socket) this.#received(event.data);
    };
    socket.onclose = (event: { code: number; reason: string }) => {
      if (socket === this.#socket) this.#lost(event.code, event.reason);
    };
    // A close event follows, and says more.
    socket.onerror = () => {};
    this.#wait(() => this.#drop(), this.#options.connectTimeout);
  }

  #show(token: string): void {
    this.#shown = token;
    this.send(JSON.stringify({ type: 'auth', token, id: AUTH_ID }));
  }

  #opened(): void {
    this.#spent = undefined;
    this.#openedAt = this.#heard = this.#options.timers.now();
    this.#watch();
    this.#change({ state: 'open' });
  }

  #received(data: unknown): void {
    this.#heard = this.#options.timers.now();
    if (typeof data !== 'string') {
      const message = decodeBinary(new Uint8Array(data as ArrayBuffer));
      if (message) this.#handlers.binary(message);
      return;
    }
    let frame: Frame | null;
    try {
      frame = JSON.parse(data) as Frame | null;
    } catch {
      return this.#handlers.error(new TidegateError('bad_frame', 'The server sent what is not JSON.'));
    }
    switch (frame?.type) {
      case undefined:
      case 'pong':
        return;
      case 'authenticated':
        this.user = frame!.user;
        if (this.#state !== 'open') this.#opened();
        return;
      case 'expiring':
        void this.#renew();
        return;
      case 'error':
        // Servers close with 4001; one that only says it means the same.
        if (frame!.id === AUTH_ID) return this.#drop(NOT_AUTHENTICATED, refusal(frame!).message);
    }
    this.#handlers.frame(frame!);
  }

  /** A text cannot be renewed; the server will close, and that is then the end. */
  async #renew(): Promise<void> {
    if (typeof this.#options.token !== 'function') return;
    const socket = this.#socket;
    try {
      const token = await this.#token();
      if (socket === this.#socket && token !== undefined) this.#show(token);
    } catch (error) {
      this.#handlers.error(tokenFailed(error));
    }
  }

  /** Browsers hide WebSocket pings, so silence is asked about with a frame. */
  #watch(): void {
    const { timers, pingAfter, pongTimeout } = this.#options;
    const silent = timers.now() - this.#heard;
    if (silent < pingAfter) return this.#wait(() => this.#watch(), pingAfter - silent);
    const before = this.#heard;
    this.send('{"type":"ping"}');
    this.#wait(() => (this.#heard === before ? this.#drop() : this.#watch()), pongTimeout);
  }

  /** Given up on, without waiting for a peer that may be gone. */
  #drop(code = 4000, reason = 'The server does not answer.'): void {
    const socket = this.#socket;
    this.#lost(code, reason);
    socket?.close();
  }

  #lost(code: number, reason: string): void {
    this.#socket = undefined;
    const refused = code === NOT_AUTHENTICATED;
    if (
      code === FORBIDDEN ||
      code === DISCONNECTED_BY_API ||
      (refused && typeof this.#options.token !== 'function')
    ) {
      return this.#end(code, reason);
    }
    if (refused) this.#spent = this.#shown;
    const { timers } = this.#options;
    if (this.#state === 'open' && timers.now() - this.#openedAt >= STABLE_MS) this.#backoff.reset();
    const asked = code === GOING_AWAY ? /retry_after\D*([\d.]+)/.exec(reason) : null;
    this.#retry(asked ? Number(asked[1]) * 1000 || 0 : 0);
    this.#change({ state: 'connecting', code, reason });
  }

  /** Not before `least` milliseconds; the jitter comes on top, or all would come at once. */
  #retry(least = 0): void {
    this.#wait(() => void this.start(), least + this.#backoff.next());
  }

  #end(code: number, reason: string): void {
    if (this.#state === 'closed') return;
    this.#socket = undefined;
    this.#options.timers.clear(this.#timer);
    this.#change({ state: 'closed', code, reason });
  }

  #wait(callback: () => void, ms: number): void {
    const { timers } = this.#options;
    timers.clear(this.#timer);
    this.#timer = timers.set(callback, ms);
  }

  #change(change: StateChange): void {
    this.#state = change.state;
    if (change.state !== 'open') this.user = undefined;
    this.#handlers.state(change);
  }
}

function tokenFailed(error: unknown): TidegateError {
  return new TidegateError('token', `The token could not be had: ${String(error)}`);
}
