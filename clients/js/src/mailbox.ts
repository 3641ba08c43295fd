// Messages on their way to one `for await` loop. Bounded: a loop that is too slow loses
// the oldest ones and hears about it, rather than the page its memory.

export class Mailbox<T> implements AsyncIterableIterator<T> {
  /** The oldest go past it. */
  limit: number;
  #items: (T | undefined)[] = [];
  #head = 0;
  #waiting: { resolve(result: IteratorResult<T>): void; reject(error: Error): void }[] = [];
  #ended = false;
  #error: Error | undefined;
  #overflown = false;
  readonly #onOverflow: (lost: T) => void;
  readonly #onReturn: (mailbox: Mailbox<T>) => void;

  constructor(limit: number, onOverflow: (lost: T) => void, onReturn: (mailbox: Mailbox<T>) => void) {
    this.limit = limit;
    this.#onOverflow = onOverflow;
    this.#onReturn = onReturn;
  }

  push(item: T): void {
    const waiting = this.#waiting.shift();
    if (waiting) return waiting.resolve({ value: item, done: false });
    this.#items.push(item);
    if (this.#items.length - this.#head <= this.limit) return;
    const lost = this.take() as T;
    // Once for a loop that has fallen behind, not once a message.
    if (!this.#overflown) this.#onOverflow(lost);
    this.#overflown = true;
  }

  take(): T | undefined {
    if (this.#head === this.#items.length) return undefined;
    const item = this.#items[this.#head];
    this.#items[this.#head++] = undefined;
    if (this.#head === this.#items.length) {
      this.#items = [];
      this.#head = 0;
      this.#overflown = false;
    } else if (this.#head >= 1024 && this.#head * 2 >= this.#items.length) {
      // Moved seldom, and in one go: `shift` would move all of them for each.
      this.#items = this.#items.slice(this.#head);
      this.#head = 0;
    }
    return item;
  }

  /** What has arrived is still handed out. */
  end(error?: Error): void {
    this.#ended = true;
    this.#error = error;
    for (const waiting of this.#waiting.splice(0)) this.next().then(waiting.resolve, waiting.reject);
  }

  next(): Promise<IteratorResult<T>> {
    if (this.#head < this.#items.length) return Promise.resolve({ value: this.take() as T, done: false });
    const error = this.#error;
    this.#error = undefined;
    if (error) return Promise.reject(error);
    if (this.#ended) return Promise.resolve({ value: undefined, done: true });
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
  }

  return(): Promise<IteratorResult<T>> {
    this.#items = [];
    this.#head = 0;
    this.end();
    this.#onReturn(this);
    return this.next();
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}
