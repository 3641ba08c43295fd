// A filter for log lines: passes messages of a level or above.

import type * as contract from "tidegate:plugin/filter@0.1.0";

import { parse } from "./bytes.js";

const LEVELS = new Map([
  ["debug", 0],
  ["info", 1],
  ["warn", 2],
  ["warning", 2],
  ["error", 3],
  ["fatal", 4],
]);

// Filters with the same level are one: its number is their id.
function add(params: Uint8Array) {
  const level = LEVELS.get(parse(params)?.min);
  if (level === undefined) throw "`min` must be one of debug, info, warn, error, fatal.";
  return level;
}

function remove(_id: number) {}

/** Bit m * ids.length + i, from the lowest of the first word: message m passes filter ids[i]. */
function evaluate(ids: number[], { kinds, ends, data }: contract.Batch) {
  const words = new BigUint64Array(Math.ceil((kinds.length * ids.length) / 64));
  const halves = new Uint32Array(words.buffer);
  let bit = 0;
  for (let m = 0; m < kinds.length; m++) {
    const level = kinds[m] === "json" ? LEVELS.get(parse(data.subarray(ends[2 * m], ends[2 * m + 1]))?.level) : undefined;
    for (const least of ids) {
      if (level !== undefined && level >= least) halves[bit >> 5] |= 1 << (bit & 31);
      bit++;
    }
  }
  return words;
}

export const filter: typeof contract = { add, remove, evaluate };
