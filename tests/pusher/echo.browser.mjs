// Laravel Echo in a real browser, on a page of the server itself.
//
//   node echo.browser.mjs

import { readFile } from "node:fs/promises";
import { launch } from "../browser/launch.mjs";
import { backend } from "./backend.mjs";

const SERVER = new URL(process.env.PUSHER_SERVER);
const [key] = process.env.PUSHER_APP.split(":");
const here = new URL("node_modules/", import.meta.url);
const script = (path) => ({ path: new URL(path, here).pathname });

/** Runs in the page. */
async function run([name, module, key]) {
  const { scenarios } = await import(module);
  const open = [];
  const echo = (user, options = {}) => {
    const made = new Echo.default({
      broadcaster: "reverb",
      key,
      wsHost: location.hostname,
      wsPort: Number(location.port),
      forceTLS: false,
      enabledTransports: ["ws"],
      bearerToken: user,
      withoutInterceptors: true,
      ...options,
    });
    open.push(made);
    return made;
  };
  try {
    await scenarios[name]({ echo, sdk: window.sdk });
  } finally {
    open.forEach((made) => made.disconnect());
  }
}

const browser = await launch();
try {
  const page = await browser.newPage();
  const errors = [];
  page.on("pageerror", (error) => errors.push(`uncaught: ${error.stack ?? error}`));
  await page.exposeFunction("sdk", async (method, ...rest) => {
    const answer = await backend()[method](...rest);
    // What a trigger answers is no value that a page could be handed.
    return method === "authorizeChannel" ? answer : null;
  });
  await page.goto(SERVER.href);
  await page.addScriptTag(script("pusher-js/dist/web/pusher-with-encryption.js"));
  await page.addScriptTag(script("laravel-echo/dist/echo.iife.js"));
  const source = await readFile(new URL("echo.scenarios.mjs", import.meta.url));
  const module = `data:text/javascript;base64,${source.toString("base64")}`;
  const names = await page.evaluate(async (it) => Object.keys((await import(it)).scenarios), module);
  if (!names.length) throw new Error("there are no scenarios");
  for (const name of names) {
    try {
      await page.evaluate(run, [name, module, key]);
      console.log(`- ${name}`);
    } catch (error) {
      console.error(`FAILED: ${name}\n${error.message}`);
      process.exitCode = 1;
    }
  }
  if (errors.length) {
    console.error(errors.join("\n"));
    process.exitCode = 1;
  }
} finally {
  await browser.close();
}
