// One channel, as the application sees it: each message once and in order across
// reconnects, or a `gap` event where that could not be.

import type { Backoff } from './backoff.js';
import { Emitter } from './emitter.js';
import { TidegateError } from './errors.js';
import type { Command, Frame, Member, Message, Position } from './frames.js';
import { Mailbox } from './mailbox.js';
import type { Timers } from './timers.js';
import { Unnumbered } from './unnumbered.js';

export interface SubscribeOptions {
  /** Subscribe parameters, for the channel's plugin. */
  data?: unknown;
  filter?: { plugin: string; params?: unknown };
  /** Also members, and `join` and `leave` events. */
  presence?: boolean;
  /** So many kept messages first. */
  history?: number;
  /**
   * After a reconnect, ask for what was missed (the default). A position, one that was
   * kept over a page's reload for example, asks at the first time too.
   */
  recover?: boolean | Position;
  /** What the server does when this client is slow, instead of what the channel's rule says. */
  policy?: 'disconnect' | 'drop_oldest' | 'latest';
}

export interface Subscribed {
  channel: string;
  epoch?: string;
  offset?: number;
  recovered?: boolean;
  members?: Member[];
}

export interface Gap {
  /**
   * `unrecovered`: the server no longer has all that was missed; `epoch` and `offset` are
   * its newest. `overflow`: a loop was too slow; they are those of the first message lost.
   */
  reason: 'unrecovered' | 'overflow';
  epoch: string | undefined;
  offset: number | undefined;
}

/** The client was slow, and its policy allowed it: so many messages are missing before the next. */
export interface Dropped {
  count: number;
}

export interface SubscriptionEvents<T> {
  message: Message<T>;
  join: Member;
  leave: Member;
  gap: Gap;
  dropped: Dropped;
  /** At first, and again after each reconnect. */
  subscribed: Subscribed;
  error: TidegateError;
}

/**
 * What a subscription needs of its client.
 * @internal
 */
export interface Port {
  readonly open: boolean;
  readonly buffer: number;
  readonly timers: Timers;
  backoff(): Backoff;
  ask(command: Command, resolve: (answer: Frame) => void, reject: (error: TidegateError) => void): void;
  /** The channel is free for another subscription. */
  release(channel: string): void;
}

/** Messages kept for an application that has not begun to listen. */
const EARLY = 1_000;

/** Refusals that say nothing of the request itself: it is made again. */
const PASSING = new Set(['rate_limited', 'plugin_failed']);

export class Subscription<T = unknown> extends Emitter<SubscriptionEvents<T>> {
  readonly channel: string;
  /** Ends with the first `subscribed`, or throws the refusal. */
  readonly ready: Promise<Subscribed>;
  #settle!: { resolve(subscribed: Subscribed): void; reject(error: TidegateError): void };
  #options: SubscribeOptions;
  #live = false;
  #ended = false;
  #retry: unknown;
  #epoch: string | undefined;
  /** The last offset that was delivered, and the one to recover from when none was yet. */
  #seen = -1;
  #resume = 0;
  #unnumbered = new Unnumbered();
  #mailboxes = new Set<Mailbox<Message<T>>>();
  /** What comes before there is a listener or a loop waits here for the first of them. */
  #early: Mailbox<Message<T>> | undefined;
  readonly #port: Port;
  readonly #backoff: Backoff;

  /** @internal */
  constructor(port: Port, channel: string, options: SubscribeOptions) {
    super();
    this.channel = channel;
    this.#port = port;
    this.#backoff = port.backoff();
    this.#options = options;
    this.#early = this.#mailbox(Math.min(EARLY, port.buffer));
    this.ready = new Promise((resolve, reject) => (this.#settle = { resolve, reject }));
    // Whoever does not wait for it hears `error` instead.
    this.ready.catch(() => {});
    if (typeof options.recover === 'object') {
      this.#epoch = options.recover.epoch;
      this.#seen = this.#resume = options.recover.offset;
    }
    this.start();
  }

  /** Where one stands; undefined in a channel without history. */
  get position(): Position | undefined {
    return this.#epoch === undefined ? undefined : { epoch: this.#epoch, offset: this.#resume };
  }

  override on<K extends keyof SubscriptionEvents<T>>(
    event: K,
    listener: (value: SubscriptionEvents<T>[K]) => void,
  ): () => void {
    const off = super.on(event, listener);
    const early = event === 'message' ? this.#adopt() : undefined;
    if (early) {
      this.#mailboxes.delete(early);
      for (let message; (message = early.take()); ) this.emit('message', message);
    }
    return off;
  }

  /** Ends normally with `unsubscribe` or the client's `close`, and throws on anything else. */
  [Symbol.asyncIterator](): AsyncIterableIterator<Message<T>> {
    const early = this.#adopt();
    const mailbox = early ?? this.#mailbox(this.#port.buffer);
    mailbox.limit = this.#port.buffer;
    if (this.#ended && !early) mailbox.end();
    return mailbox;
  }

  /** Ends when the server has confirmed it, or there is no connection to ask. */
  unsubscribe(): Promise<void> {
    if (this.#ended) return Promise.resolve();
    this.end();
    return this.#leave();
  }

  /** @internal Asks the server, now or again. */
  start(): void {
    if (!this.#port.open || this.#ended) return;
    const { data, filter, presence, policy, recover = true } = this.#options;
    const asked = recover && !this.#live ? this.position : undefined;
    // What is in force keeps running: asking it for the past again would repeat messages.
    const history = asked || this.#live ? undefined : this.#options.history;
    this.#port.ask(
      {
        type: 'subscribe',
        channel: this.channel,
        data,
        filter,
        policy,
        history,
        presence: presence || undefined,
        recover: asked,
      },
      (answer) => this.#subscribed(answer, asked, history ?? 0),
      (error) => this.#refused(error),
    );
  }

  /** @internal */
  update(options: SubscribeOptions): void {
    this.#options = options;
    this.start();
  }

  /** @internal */
  lost(): void {
    this.#live = false;
    this.#port.timers.clear(this.#retry);
  }

  /** @internal */
  end(error?: TidegateError): void {
    this.lost();
    this.#ended = true;
    this.#port.release(this.channel);
    this.#settle.reject(error ?? new TidegateError('closed', 'Unsubscribed.', { channel: this.channel }));
    for (const mailbox of this.#mailboxes) mailbox.end(error);
  }

  /** @internal */
  deliver(message: Message<T>): void {
    // Frames of a subscription that was ended just before, on the same channel.
    if (!this.#live) return;
    const { offset } = message;
    if (offset !== undefined) {
      if (offset <= this.#seen) return;
      this.#seen = this.#resume = offset;
      this.#unnumbered.clear();
    } else if (this.#epoch !== undefined && message.data instanceof Uint8Array) {
      if (this.#unnumbered.seen(message.data)) return;
    }
    this.emit('message', message);
    for (const mailbox of this.#mailboxes) mailbox.push(message);
  }

  #subscribed(answer: Frame, asked: Position | undefined, history: number): void {
    if (this.#ended) return;
    // A second answer on one connection: the first has settled where one stands.
    if (this.#live) asked = undefined;
    this.#live = true;
    this.#backoff.reset();
    const { epoch, offset = 0, recovered, members } = answer;
    if (epoch !== this.#epoch) {
      this.#epoch = epoch;
      this.#unnumbered.clear();
      // All that is kept follows, or the history that was asked for, or what comes from now on.
      this.#seen = asked || history ? -1 : offset;
      this.#resume = asked ? 0 : Math.max(0, offset - history);
    } else if (asked) {
      // The server has gone back: its next messages are new ones, though their numbers are not.
      if (offset < this.#seen) this.#seen = this.#resume = offset;
      this.#unnumbered.expect(offset - this.#resume);
    }
    const subscribed: Subscribed = { channel: this.channel };
    if (epoch !== undefined) Object.assign(subscribed, { epoch, offset });
    if (recovered !== undefined) subscribed.recovered = recovered;
    if (members) subscribed.members = members;
    this.#settle.resolve(subscribed);
    this.emit('subscribed', subscribed);
    if (asked && !recovered) this.emit('gap', { reason: 'unrecovered', epoch, offset: answer.offset });
  }

  #refused(error: TidegateError): void {
    // Without a connection it is asked again at the next one.
    if (this.#ended || !this.#port.open) return;
    this.emit('error', error);
    if (PASSING.has(error.code)) {
      const { timers } = this.#port;
      timers.clear(this.#retry);
      this.#retry = timers.set(() => this.start(), (error.retryAfter ?? 0) * 1000 + this.#backoff.next());
      return;
    }
    // New options were refused, and those before may still be in force.
    const inForce = this.#live;
    this.end(error);
    if (inForce) void this.#leave();
  }

  #leave(): Promise<void> {
    if (!this.#port.open) return Promise.resolve();
    return new Promise((resolve) => {
      const done = () => resolve();
      this.#port.ask({ type: 'unsubscribe', channel: this.channel }, done, done);
    });
  }

  #adopt(): Mailbox<Message<T>> | undefined {
    const early = this.#early;
    this.#early = undefined;
    return early;
  }

  #mailbox(limit: number): Mailbox<Message<T>> {
    const mailbox: Mailbox<Message<T>> = new Mailbox(
      limit,
      (lost) => this.emit('gap', { reason: 'overflow', epoch: this.#epoch, offset: lost.offset }),
      (mailbox) => this.#mailboxes.delete(mailbox),
    );
    this.#mailboxes.add(mailbox);
    return mailbox;
  }
}
