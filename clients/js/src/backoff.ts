// Exponential back-off with full jitter: clients that were cut off together must not come
// back together, so the whole delay is drawn, not a part of it.

export class Backoff {
  #attempt = 0;
  readonly #base: number;
  readonly #cap: number;
  readonly #random: () => number;

  constructor(base: number, cap: number, random: () => number) {
    this.#base = base;
    this.#cap = cap;
    this.#random = random;
  }

  /** Milliseconds to wait before the next attempt. */
  next(): number {
    return this.#random() * Math.min(this.#cap, this.#base * 2 ** this.#attempt++);
  }

  reset(): void {
    this.#attempt = 0;
  }
}
