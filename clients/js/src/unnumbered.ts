// Binary frames say no offset, so after a reconnect the server sends again those that came
// since the last numbered message. They are told from new ones by what they hold.

const LIMIT = 10_000;

export class Unnumbered {
  /** Of the binary messages since the last numbered one, in order. */
  #hashes: number[] = [];
  #cursor = 0;
  #repeats = 0;

  /** A numbered message came: recovery will start there. */
  clear(): void {
    this.#hashes = [];
    this.#repeats = 0;
  }

  /** At most so many messages that follow are repeated ones. */
  expect(repeats: number): void {
    this.#cursor = 0;
    this.#repeats = repeats;
  }

  /** Notes a payload; true if it is one that was seen before the connection ended. */
  seen(payload: Uint8Array): boolean {
    const hash = fnv1a(payload);
    if (this.#repeats > 0) {
      this.#repeats--;
      const at = this.#hashes.indexOf(hash, this.#cursor);
      if (at >= 0) {
        this.#cursor = at + 1;
        return true;
      }
    }
    this.#hashes.push(hash);
    if (this.#hashes.length > LIMIT) this.#hashes.shift();
    return false;
  }
}

function fnv1a(bytes: Uint8Array): number {
  let hash = 0x811c9dc5 ^ bytes.length;
  for (const byte of bytes) hash = Math.imul(hash ^ byte, 0x01000193);
  return hash;
}
