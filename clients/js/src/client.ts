// What an application holds: routes frames to subscriptions and answers to requests, and
// restores subscriptions and memberships on each new connection.

import { Backoff } from './backoff.js';
import {
  Connection,
  type State,
  type StateChange,
  type Token,
  type WebSocketConstructor,
} from './connection.js';
import { Emitter } from './emitter.js';
import { TidegateError } from './errors.js';
import {
  encode,
  encodeBinary,
  message,
  refusal,
  type Command,
  type Frame,
  type Member,
  type Message,
  type Position,
} from './frames.js';
import { disconnected, Requests } from './requests.js';
import { Subscription, type Port, type SubscribeOptions } from './subscription.js';
import { systemTimers, type Timers } from './timers.js';

export interface TidegateOptions {
  /** Shown first; a function is called for each connection and when the token expires. */
  token?: Token | undefined;
  /** Needed where there is no global one (Node 20): the `ws` package's. */
  WebSocket?: WebSocketConstructor | undefined;
  /** Requests that may wait for a connection; 0: they fail at once. */
  queue?: number;
  /** Messages that may wait for one `for await` loop. */
  buffer?: number;
  /** The reconnect delay is drawn from 0 to base × 2ⁿ ms, at most the cap. */
  backoffBase?: number;
  backoffCap?: number;
  /** From the attempt to being authenticated, in ms. */
  connectTimeout?: number;
  /** Silence after which the server is asked whether it is there, in ms. */
  pingAfter?: number;
  /** How long it has to answer, in ms. */
  pongTimeout?: number;
  /** For tests. */
  random?: () => number;
  timers?: Timers;
}

export interface ClientEvents {
  /** Also for each attempt that fails, with the close's code and reason. */
  state: StateChange;
  /** What no promise and no subscription can tell. */
  error: TidegateError;
  /** On channels that the server subscribed this client to. */
  message: Message;
}

export interface PublishOptions {
  event?: string;
  /** `false`: not back to this client. */
  echo?: boolean;
  /** A publish that is repeated with the same key happens once. */
  idempotencyKey?: string;
  /** `false`: the promise ends when the frame is sent; a refusal is a client `error`. */
  ack?: boolean;
  /** How many subscribers the message reached; not together with `ack: false`. */
  receipt?: boolean;
}

export interface Published {
  channel: string;
  /** In channels with history. */
  offset?: number;
}

/** Subscribers on the whole server, at the time the message had its turn. */
export interface Receipt extends Published {
  /** Those it was sent to. */
  delivered: number;
  /** Those whose filter refused it. */
  filtered: number;
  /** The publisher itself, with `echo: false`. */
  excluded: number;
}

export interface Presence {
  count: number;
  members: Member[];
}

export interface HistoryOptions {
  limit?: number;
  since?: Position;
}

export interface History<T = unknown> {
  epoch?: string;
  offset?: number;
  /** `false`: `since` is further back than what is kept. */
  complete?: boolean;
  /** Oldest first. */
  messages: Message<T>[];
}

interface Membership {
  meta: unknown;
  confirmed: boolean;
}

export class Tidegate extends Emitter<ClientEvents> {
  #subscriptions = new Map<string, Subscription<any>>();
  #memberships = new Map<string, Membership>();
  #open = false;
  readonly #connection: Connection;
  readonly #requests: Requests;
  readonly #port: Port;

  constructor(url: string | URL, options: TidegateOptions = {}) {
    super();
    const {
      token,
      WebSocket = (globalThis as { WebSocket?: WebSocketConstructor }).WebSocket,
      queue = 1_000,
      buffer = 10_000,
      backoffBase = 250,
      backoffCap = 20_000,
      connectTimeout = 10_000,
      pingAfter = 30_000,
      pongTimeout = 10_000,
      random = Math.random,
      timers = systemTimers,
    } = options;
    if (!WebSocket) throw new TypeError('There is no global WebSocket: give one as the option `WebSocket`.');
    this.#connection = new Connection(
      new URL(url, globalThis.location?.href).href.replace(/^http/, 'ws'),
      {
        token,
        WebSocket,
        timers,
        random,
        backoffBase,
        backoffCap,
        connectTimeout,
        pingAfter,
        pongTimeout,
      },
      {
        state: (change) => this.#changed(change),
        frame: (frame) => this.#received(frame),
        binary: (message) => this.#deliver(message),
        error: (error) => this.emit('error', error),
      },
    );
    this.#requests = new Requests(queue, (data) => this.#connection.send(data));
    const isOpen = () => this.#open;
    this.#port = {
      get open() {
        return isOpen();
      },
      buffer,
      timers,
      backoff: () => new Backoff(backoffBase, backoffCap, random),
      ask: (command, resolve, reject) => this.#requests.ask(command, resolve, reject),
      release: (channel) => this.#subscriptions.delete(channel),
    };
    void this.#connection.start();
  }

  get state(): State {
    return this.#connection.state;
  }

  /** Whom the server took the token for; undefined without a token or a connection. */
  get user(): string | undefined {
    return this.#connection.user;
  }

  /** One object a channel: asking again returns it, with the options replaced if given. */
  subscribe<T = unknown>(channel: string, options?: SubscribeOptions): Subscription<T> {
    let subscription = this.#subscriptions.get(channel);
    if (subscription) {
      if (options) subscription.update(options);
      return subscription;
    }
    subscription = new Subscription<T>(this.#port, channel, options ?? {});
    this.#subscriptions.set(channel, subscription);
    if (this.state === 'closed') subscription.end(disconnected());
    return subscription;
  }

  /** Bytes go as they are, in a binary frame: they take no options and get no answer. */
  publish(channel: string, data: unknown, options: PublishOptions & { receipt: true }): Promise<Receipt>;
  publish(channel: string, data: unknown, options?: PublishOptions): Promise<Published>;
  async publish(channel: string, data: unknown, options: PublishOptions = {}): Promise<Published> {
    const { event, echo, idempotencyKey, receipt, ack = true } = options;
    if (receipt && !ack) {
      throw new TidegateError('invalid_params', 'A receipt is an answer: it needs `ack`.', { channel });
    }
    if (data instanceof Uint8Array) {
      if (event !== undefined || echo === false || idempotencyKey !== undefined || receipt) {
        throw new TidegateError('invalid_params', 'A binary publish takes no options.', { channel });
      }
      await this.#tell(encodeBinary(channel, data));
      return { channel };
    }
    const command = { type: 'publish', channel, data, event, echo, receipt, idempotency_key: idempotencyKey };
    if (!ack) {
      await this.#tell(encode(command));
      return { channel };
    }
    const { offset, delivered, filtered, excluded } = await this.#request(command);
    const published: Published = { channel };
    if (offset !== undefined) published.offset = offset;
    return delivered === undefined ? published : Object.assign(published, { delivered, filtered, excluded });
  }

  /** Calls a plugin's action. */
  async action<R = unknown>(name: string, data?: unknown): Promise<R> {
    return (await this.#request({ type: 'action', channel: name, data })).data as R;
  }

  async presence(channel: string): Promise<Presence> {
    const { count = 0, members = [] } = await this.#request({ type: 'presence', channel });
    return { count, members };
  }

  async history<T = unknown>(channel: string, options: HistoryOptions = {}): Promise<History<T>> {
    const { limit, since } = options;
    const answer = await this.#request({ type: 'history', channel, limit, since });
    const { epoch, offset, complete, messages = [] } = answer;
    const history: History<T> = { messages: messages.map((kept) => message(kept, channel) as Message<T>) };
    if (epoch !== undefined) history.epoch = epoch;
    if (offset !== undefined) history.offset = offset;
    if (complete !== undefined) history.complete = complete;
    return history;
  }

  /** Makes this client a member, again after each reconnect; joining again replaces `meta`. */
  async join(channel: string, meta?: unknown): Promise<void> {
    const before = this.#memberships.get(channel);
    const membership: Membership = { meta, confirmed: false };
    this.#memberships.set(channel, membership);
    try {
      await this.#request({ type: 'join', channel, data: meta });
      membership.confirmed = true;
    } catch (error) {
      if (this.#memberships.get(channel) === membership) {
        // What was refused changes nothing: a membership there was goes on.
        if (before?.confirmed) this.#memberships.set(channel, before);
        else this.#memberships.delete(channel);
      }
      throw error;
    }
  }

  async leave(channel: string): Promise<void> {
    this.#memberships.delete(channel);
    await this.#request({ type: 'leave', channel });
  }

  /** For good: a client that shall connect again is a new one. */
  close(): void {
    this.#connection.close();
  }

  #request(command: Command): Promise<Frame> {
    return this.state === 'closed' ? Promise.reject(disconnected()) : this.#requests.request(command);
  }

  #tell(frame: string | Uint8Array): Promise<Frame> {
    return this.state === 'closed' ? Promise.reject(disconnected()) : this.#requests.tell(frame);
  }

  #changed(change: StateChange): void {
    this.#open = change.state === 'open';
    if (this.#open) this.#restore();
    else if (change.state === 'closed') this.#ended(change);
    else {
      this.#requests.lost();
      for (const subscription of this.#subscriptions.values()) subscription.lost();
    }
    this.emit('state', change);
  }

  /** Subscriptions before requests, so that the answer of a publish that waited is seen. */
  #restore(): void {
    for (const subscription of [...this.#subscriptions.values()]) subscription.start();
    for (const [channel, membership] of this.#memberships) {
      if (membership.confirmed) this.#rejoin(channel, membership);
    }
    this.#requests.open();
  }

  #rejoin(channel: string, membership: Membership): void {
    this.#requests.ask(
      { type: 'join', channel, data: membership.meta },
      () => {},
      (error) => {
        if (!this.#open) return;
        if (this.#memberships.get(channel) === membership) this.#memberships.delete(channel);
        this.emit('error', error);
      },
    );
  }

  #ended({ code, reason }: StateChange): void {
    this.#requests.close();
    const error =
      code === 1000 ? undefined : new TidegateError('closed', `Closed with ${code}: ${reason || 'no reason'}`);
    for (const subscription of [...this.#subscriptions.values()]) subscription.end(error);
  }

  #deliver(message: Message): void {
    const subscription = this.#subscriptions.get(message.channel);
    if (subscription) subscription.deliver(message);
    else this.emit('message', message);
  }

  #received(frame: Frame): void {
    const { type, channel = '' } = frame;
    if (type === 'data') return this.#deliver(message(frame, channel));
    if (frame.id !== undefined && this.#requests.answer(frame)) return;
    const subscription = this.#subscriptions.get(channel);
    if ((type === 'join' || type === 'leave') && frame.member) {
      subscription?.emit(type, frame.member);
    } else if (type === 'dropped') {
      subscription?.emit(type, { count: frame.count ?? 0 });
    } else if (type === 'error') {
      const error = refusal(frame);
      subscription?.emit('error', error);
      this.emit('error', error);
    } else if (type === 'unsubscribed' && frame.id === undefined) {
      // Nobody here asked for it: the server's own decision.
      const error = new TidegateError('unsubscribed', 'The server ended the subscription.', { channel });
      subscription?.emit('error', error);
      subscription?.end(error);
    }
  }
}
