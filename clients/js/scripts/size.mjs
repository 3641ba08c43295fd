// What a page downloads: the bundle, gzipped. It has a budget, so that it stays small.
import { readFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';

const BUDGET = 6144;
const bundle = readFileSync(new URL('../dist/tidegate.js', import.meta.url));
const size = gzipSync(bundle, { level: 9 }).length;
console.log(`dist/tidegate.js: ${bundle.length} bytes, ${size} gzipped (budget ${BUDGET})`);
if (size > BUDGET) process.exit(1);
