// The client library's scenarios in a real browser, on the page of the server itself.
//
//   node browser.mjs URL TOKENS

import { readFile } from "node:fs/promises";
import { launch } from "../browser/launch.mjs";

const [url, tokens] = process.argv.slice(2);
const client = new URL("../../clients/js/", import.meta.url);

const module = async path => {
  const source = await readFile(new URL(path, client), "utf8");
  return "data:text/javascript;base64," + Buffer.from(source).toString("base64");
};

/** Runs in the page. */
async function play([name, client, scenarios, tokens]) {
  const { Tidegate } = await import(client);
  const { play } = await import(scenarios);
  await play(name, {
    Tidegate,
    WebSocket,
    url: new URL("/ws", location.href),
    tokens,
    kill(socket) {
      // A page cannot pull the cable: nothing more is heard, and the goodbye is not waited for.
      const lost = socket.onclose;
      socket.onmessage = socket.onclose = null;
      socket.close();
      lost({ code: 1006, reason: "" });
    },
  });
}

const browser = await launch();
try {
  const page = await browser.newPage();
  const errors = [];
  page.on("console", message => {
    if (message.type() === "error") errors.push(`${message.text()} (${message.location().url})`);
  });
  page.on("pageerror", error => errors.push(`uncaught: ${error.stack ?? error}`));
  await page.goto(url);
  const [library, scenarios] = [await module("dist/tidegate.js"), await module("test/scenarios.mjs")];
  const names = await page.evaluate(async it => Object.keys((await import(it)).scenarios), scenarios);
  if (!names.length) throw new Error("there are no scenarios");
  for (const name of names) {
    try {
      await page.evaluate(play, [name, library, scenarios, tokens.split(" ")]);
      console.log(`- ${name}`);
    } catch (error) {
      console.error(`FAILED: ${name}\n${error.message}`);
      process.exitCode = 1;
    }
  }
  if (errors.length) {
    console.error(`the browser's console has errors:\n${errors.join("\n")}`);
    process.exitCode = 1;
  }
} finally {
  await browser.close();
}
