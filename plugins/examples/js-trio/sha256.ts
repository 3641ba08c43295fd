// HMAC with SHA-256 (RFC 2104, FIPS 180-4): the engine has no crypto of its own. It interprets, so
// the rounds are written out, and what comes of the key alone is kept.

const BLOCK = 64;

/** The first 32 bits behind the point of a root of each of the first primes. */
function roots(count: number, power: number) {
  const words = new Int32Array(count);
  for (let prime = 2, found = 0; found < count; prime++) {
    let divisor = 2;
    while (divisor * divisor <= prime && prime % divisor !== 0) divisor++;
    if (divisor * divisor > prime) {
      const root = prime ** power;
      words[found++] = (root - Math.floor(root)) * 2 ** 32;
    }
  }
  return words;
}

const START = roots(8, 1 / 2);
const ROUNDS = roots(64, 1 / 3);
const schedule = new Int32Array(64);

/** Takes a block of the bytes into the state. */
function mix(state: Int32Array, bytes: Uint8Array, from: number) {
  const [w, k] = [schedule, ROUNDS];
  for (let t = 0; t < 16; t++, from += 4) {
    w[t] = (bytes[from] << 24) | (bytes[from + 1] << 16) | (bytes[from + 2] << 8) | bytes[from + 3];
  }
  for (let t = 16; t < 64; t++) {
    const x = w[t - 15];
    const y = w[t - 2];
    const s0 = ((x >>> 7) | (x << 25)) ^ ((x >>> 18) | (x << 14)) ^ (x >>> 3);
    const s1 = ((y >>> 17) | (y << 15)) ^ ((y >>> 19) | (y << 13)) ^ (y >>> 10);
    w[t] = w[t - 16] + s0 + w[t - 7] + s1;
  }
  let [a, b, c, d, e, f, g, h] = state;
  for (let t = 0; t < 64; t++) {
    const s1 = ((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7));
    const s0 = ((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10));
    const one = (h + s1 + ((e & f) ^ (~e & g)) + k[t] + w[t]) | 0;
    h = g;
    g = f;
    f = e;
    e = (d + one) | 0;
    const two = s0 + ((a & b) ^ (a & c) ^ (b & c));
    d = c;
    c = b;
    b = a;
    a = (one + two) | 0;
  }
  [a, b, c, d, e, f, g, h].forEach((word, at) => (state[at] += word));
}

/** The digest of some bytes, behind so many that are in the state already. */
function finish(start: Int32Array, before: number, bytes: Uint8Array) {
  const padded = new Uint8Array(Math.ceil((bytes.length + 9) / BLOCK) * BLOCK);
  padded.set(bytes);
  padded[bytes.length] = 0x80;
  // Fewer than 2^32 bits.
  new DataView(padded.buffer).setUint32(padded.length - 4, (before + bytes.length) * 8);
  const state = start.slice();
  for (let from = 0; from < padded.length; from += BLOCK) mix(state, padded, from);
  const digest = new Uint8Array(32);
  const view = new DataView(digest.buffer);
  state.forEach((word, at) => view.setInt32(4 * at, word));
  return digest;
}

/** A function from messages to their HMAC with a key. */
export function hmac(key: Uint8Array) {
  const short = key.length > BLOCK ? finish(START, 0, key) : key;
  const [inner, outer] = [0x36, 0x5c].map((pad) => {
    const block = new Uint8Array(BLOCK).fill(pad);
    short.forEach((byte, at) => (block[at] ^= byte));
    const state = START.slice();
    mix(state, block, 0);
    return state;
  });
  return (message: Uint8Array) => finish(outer, BLOCK, finish(inner, BLOCK, message));
}
