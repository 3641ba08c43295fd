// Against a real server: TIDEGATE_URL=ws://127.0.0.1:8000/ws node --test test/live.test.mjs
// scenarios.mjs says which channels it must have. TIDEGATE_TOKENS are the tokens of two users
// with a space between them, if there are any.

import { test } from 'node:test';
import { WebSocket } from 'ws';
import { Tidegate } from '../dist/tidegate.js';
import { play, scenarios } from './scenarios.mjs';

const { TIDEGATE_URL: url, TIDEGATE_TOKENS: tokens = '' } = process.env;
const options = { skip: url ? false : 'TIDEGATE_URL is not set', timeout: 20_000 };
const surroundings = {
  Tidegate,
  WebSocket,
  url,
  tokens: tokens.split(' ').filter(Boolean),
  kill(socket) {
    // What it has read already is lost too, as it would be on the way.
    socket.onmessage = null;
    socket.terminate();
  },
};

for (const name of Object.keys(scenarios)) test(name, options, () => play(name, surroundings));
