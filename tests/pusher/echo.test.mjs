// Laravel Echo in Node, unmodified.

import { test } from "node:test";
import Echo from "laravel-echo";
import Pusher from "pusher-js";
import { backend } from "./backend.mjs";
import { scenarios } from "./echo.scenarios.mjs";

const SERVER = new URL(process.env.PUSHER_SERVER);
const [key] = process.env.PUSHER_APP.split(":");

for (const [name, play] of Object.entries(scenarios)) {
  test(name, async () => {
    const open = [];
    const echo = (user, options = {}) => {
      const made = new Echo({
        broadcaster: "reverb",
        key,
        wsHost: SERVER.hostname,
        wsPort: Number(SERVER.port),
        forceTLS: false,
        enabledTransports: ["ws"],
        // A page has these from where it comes.
        authEndpoint: new URL("/broadcasting/auth", SERVER).href,
        userAuthentication: { endpoint: new URL("/broadcasting/user-auth", SERVER).href, headers: {} },
        bearerToken: user,
        Pusher,
        withoutInterceptors: true,
        ...options,
      });
      open.push(made);
      return made;
    };
    const sdk = async (method, ...rest) => backend()[method](...rest);
    try {
      await play({ echo, sdk });
    } finally {
      open.forEach((made) => made.disconnect());
    }
  });
}
