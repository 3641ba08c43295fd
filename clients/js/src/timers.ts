// The clock and timers as a value, so that tests can hold them still.

export interface Timers {
  set(callback: () => void, ms: number): unknown;
  clear(timer: unknown): void;
  /** Milliseconds, never going back. */
  now(): number;
}

export const systemTimers: Timers = {
  set: (callback, ms) => setTimeout(callback, ms),
  clear: (timer) => clearTimeout(timer as number | undefined),
  now: () => performance.now(),
};
