// Events with types. Keyed by a Map and copied on change: a listener may add or remove
// listeners while it is called.

export class Emitter<Events> {
  #listeners = new Map<keyof Events, readonly ((value: never) => void)[]>();

  /** Returns the function that removes the listener again. */
  on<K extends keyof Events>(event: K, listener: (value: Events[K]) => void): () => void {
    this.#listeners.set(event, [...(this.#listeners.get(event) ?? []), listener]);
    return () => this.off(event, listener);
  }

  off<K extends keyof Events>(event: K, listener: (value: Events[K]) => void): void {
    const left = (this.#listeners.get(event) ?? []).filter((one) => one !== listener);
    this.#listeners.set(event, left);
  }

  /** @internal */
  emit<K extends keyof Events>(event: K, value: Events[K]): void {
    for (const listener of this.#listeners.get(event) ?? []) {
      try {
        listener(value as never);
      } catch (error) {
        // One listener's mistake is reported as uncaught, and does not stop the others.
        queueMicrotask(() => {
          throw error;
        });
      }
    }
  }
}
