// The playground page as two people use it, in two tabs of a real browser.
//
//   node playground.mjs URL --chat FILE --next FILE TOKEN-OF-ADA TOKEN-OF-BOB
//
// URL is the page of a server with the three example plugins, --chat the plugin's file that
// it watches, --next what this test copies over it.

import { copyFile, mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs, stripVTControlCharacters } from "node:util";
import { launch } from "./launch.mjs";

// Of one wait. No answer of a healthy server takes this long.
const BOUND_MS = 15_000;
const HURTS = `<img src=x onerror="window.hurt = true">`;

const { values: files, positionals } = parseArgs({
  allowPositionals: true,
  options: { chat: { type: "string" }, next: { type: "string" } },
});
const [url, adasToken, bobsToken] = positionals;

/** A tab with the page, and what a person does and sees there. */
class Tab {
  static async open(context, name) {
    const tab = new Tab();
    tab.name = name;
    tab.errors = [];
    tab.page = await context.newPage();
    tab.page.on("console", message => {
      if (message.type() === "error") tab.errors.push(`${message.text()} (${message.location().url})`);
    });
    tab.page.on("pageerror", error => tab.errors.push(`uncaught: ${error.stack ?? error}`));
    await tab.page.goto(url);
    return tab;
  }

  /** In front, as where a person clicks: a browser is slow with tabs that nobody sees. */
  async front() { await this.page.bringToFront(); }

  button(name) { return this.page.getByRole("button", { name, exact: true }); }

  /** Waits for an element, and says what is there instead of it. */
  async sees(what, locator) {
    try {
      await locator.first().waitFor();
    } catch (error) {
      throw new Error(`${this.name}'s tab does not show ${what}\n${error.message}`);
    }
  }

  async state(pattern) {
    await this.sees(`the state ${pattern}`, this.page.getByRole("status").filter({ hasText: pattern }));
  }

  /** Frames that came in, with all of these texts. */
  frames(...texts) {
    const incoming = this.page.locator("#log li:not(.out)");
    return texts.reduce((rows, text) => rows.filter({ hasText: text }), incoming);
  }

  async receives(...texts) { await this.sees(`a frame with ${texts.join(" and ")}`, this.frames(...texts)); }

  async receivesData(channel, data, sender) {
    await this.receives(`"type":"data"`, field({ channel }), field({ data }), field({ sender }));
  }

  async connected() { await this.state(new RegExp(`^connected as ${this.name}$`)); }

  async chips(...channels) {
    const chips = () => this.page.locator("#chips li:not(.pending) > span").allTextContents();
    const wanted = channels.join(", ");
    const until = Date.now() + BOUND_MS;
    while ((await chips()).map(text => text.trim()).join(", ") !== wanted) {
      if (Date.now() > until) throw new Error(`${this.name}'s chips: ${await chips()} instead of ${wanted}`);
      await this.page.waitForTimeout(20);
    }
  }

  /** Ends the page's connection behind its back. */
  async cut() { await this.page.evaluate(() => window.sockets.at(-1).close()); }

  async click(name) {
    await this.front();
    await this.button(name).click();
  }

  async clear() { await this.click("Clear"); }

  async connect(token) {
    await this.page.locator("#token").fill(token);
    await this.click("Reconnect");
  }

  async subscribe(channel, filter = "", params = "") {
    await this.page.locator("#channel").fill(channel);
    await this.page.locator("#filter").fill(filter);
    await this.page.locator("#params").fill(params);
    await this.click("Subscribe");
  }

  async subscribed(channel) { await this.receives(`"type":"subscribed"`, field({ channel })); }

  async publish(channel, typed, as = "auto") {
    await this.page.locator("#to").fill(channel);
    await this.page.locator("#as").selectOption(as);
    await this.page.locator("#data").fill(typed);
    await this.page.locator("#data").press("Enter");
  }

  async plugin(name, version) {
    const cards = this.page.locator(".plugin").filter({ has: this.page.getByText(`${name} ${version}`, { exact: true }) });
    await this.sees(`${name} ${version}, active`, cards.filter({ hasText: "active" }));
    return cards;
  }
}

/** A field as it stands in a frame. */
function field(object) {
  return JSON.stringify(object).slice(1, -1);
}

function equal(what, found, expected) {
  if (found !== expected) throw new Error(`${what}: ${found} instead of ${expected}`);
}

async function scenario(ada, bob) {
  const step = name => console.log(`- ${name}`);

  step("nobody yet: the page connects by itself, to the lobby");
  for (const tab of [ada, bob]) {
    await tab.state(/^connected as anonymous$/);
    await tab.subscribed("chat:lobby");
  }

  step("the three plugins, and the filter's names");
  for (const name of ["chat", "token-auth", "level-filter"]) await ada.plugin(name, "1.0.0");
  equal("plugins listed", await ada.page.locator(".plugin").count(), 3);
  const names = await ada.page.locator("#filters option").evaluateAll(all => all.map(one => one.value));
  equal("names that are offered", names.join(), "level,level-filter");

  step("with tokens, the lobby again");
  for (const [tab, token] of [[ada, adasToken], [bob, bobsToken]]) {
    await tab.clear();
    await tab.connect(token);
    await tab.connected();
    await tab.subscribed("chat:lobby");
  }

  step("unsubscribed by the chip, and subscribed by the form");
  await bob.click("Unsubscribe from chat:lobby");
  await bob.receives(`"type":"unsubscribed"`, field({ channel: "chat:lobby" }));
  await bob.chips();
  await bob.clear();
  await bob.subscribe("chat:lobby");
  await bob.subscribed("chat:lobby");
  await bob.chips("chat:lobby");

  step("what one says, both read: trimmed, and with who said it");
  await ada.publish("chat:lobby", "  hello  ");
  for (const tab of [ada, bob]) await tab.receivesData("chat:lobby", { text: "hello", from: "ada" }, "ada");
  await bob.publish("chat:lobby", `{"text":" hello yourself "}`);
  for (const tab of [ada, bob]) await tab.receivesData("chat:lobby", { text: "hello yourself", from: "bob" }, "bob");

  step("what is typed is sent as JSON only where that is meant, and then as it is typed");
  for (const text of ["42", "true", "null", `"quoted"`, "[1"]) {
    await ada.publish("chat:lobby", text);
    await bob.receivesData("chat:lobby", { text, from: "ada" }, "ada");
  }
  await ada.publish("chat:lobby", `{"text":1}`, "text");
  await bob.receivesData("chat:lobby", { text: `{"text":1}`, from: "ada" }, "ada");
  await ada.subscribe("numbers");
  await ada.subscribed("numbers");
  for (const [typed, as] of [["42", "json"], [`{"id":9007199254740993,  "price":1.50}`, "auto"], ["[1e400]", "auto"]]) {
    await ada.publish("numbers", typed, as);
    await ada.receives(`"channel":"numbers","data":${typed},`);
  }
  await ada.publish("numbers", "[1", "json");
  await ada.receives("not JSON: ");
  await ada.click("Unsubscribe from numbers");
  await ada.chips("chat:lobby");

  step("an empty text, and the plugin's reason against it");
  for (const [round, typed] of ["", "   "].entries()) {
    await ada.clear();
    await ada.publish("chat:lobby", typed);
    await ada.receives(`"type":"error"`, field({ message: "Say something: the text is empty." }));
    equal(`refusals in red, round ${round}`, await ada.page.locator("#log .bad").count(), 1);
  }

  step("HTML is text");
  await ada.publish("chat:lobby", HURTS);
  for (const tab of [ada, bob]) await tab.receivesData("chat:lobby", { text: HURTS, from: "ada" }, "ada");
  await bob.subscribe(`chat:${HURTS}`);
  await bob.subscribed(`chat:${HURTS}`);
  await bob.chips("chat:lobby", `chat:${HURTS}`);

  step("a filter shows only what passes");
  await bob.clear();
  await bob.subscribe("logs:app", "level", `{"min":"error"}`);
  await bob.subscribed("logs:app");
  for (const level of ["info", "error", "debug", "fatal"]) {
    await ada.publish("logs:app", JSON.stringify({ level }));
  }
  await bob.receivesData("logs:app", { level: "error" }, "ada");
  // A channel's messages come in order: with the last, all have come that ever will.
  await bob.receivesData("logs:app", { level: "fatal" }, "ada");
  equal("log lines that passed", await bob.frames(`"type":"data"`, field({ channel: "logs:app" })).count(), 2);
  await bob.clear();
  await bob.subscribe("logs:app", "level", `{"min":"loud"}`);
  await bob.receives(`"type":"error"`, "`min` must be one of debug, info, warn, error, fatal.");
  // Its old filter is not what was asked for now.
  await bob.chips("chat:lobby", `chat:${HURTS}`);
  await bob.clear();
  await bob.subscribe("$secret");
  await bob.receives(`"type":"error"`, "invalid_params");
  await bob.chips("chat:lobby", `chat:${HURTS}`);

  step("paused, frames are held back; then they are shown");
  await bob.clear();
  await bob.click("Pause");
  for (const text of ["one", "two"]) await ada.publish("chat:lobby", text);
  await bob.sees("how many are held back", bob.page.locator("#rate").filter({ hasText: /^2 held back$/ }));
  equal("frames meanwhile", await bob.page.locator("#log li").count(), 0);
  await bob.click("Go on");
  for (const text of ["one", "two"]) await bob.receivesData("chat:lobby", { text, from: "ada" }, "ada");

  step("a lost connection comes back, and its subscriptions with it");
  await bob.clear();
  await bob.cut();
  await bob.receives("closed 1000");
  await bob.connected();
  await bob.chips("chat:lobby", `chat:${HURTS}`);
  await ada.publish("chat:lobby", "back?");
  await bob.receivesData("chat:lobby", { text: "back?", from: "ada" }, "ada");

  step("a new version of the chat, and nobody notices");
  await ada.clear();
  await bob.clear();
  await copyFile(files.next, files.chat);
  for (const tab of [ada, bob]) {
    const card = await tab.plugin("chat", "2.0.0");
    await tab.sees("what was swapped", card.filter({ hasText: /swapped from 1\.0\.0 in \d+ ms/ }));
  }
  await ada.publish("chat:lobby", " still here ");
  for (const tab of [ada, bob]) {
    await tab.receivesData("chat:lobby", { text: "still here", from: "ada", v: 2 }, "ada");
    await tab.connected();
    equal("connections lost", await tab.frames("closed").count(), 0);
  }

  step("a refused token, its reason, and back");
  await ada.clear();
  await ada.connect(`no "subprotocol", {ünd} so on`);
  await ada.state(/^closed 4001: The token is malformed\.$/);
  await ada.receives("closed 4001 The token is malformed.");
  await ada.clear();
  await ada.connect(adasToken);
  await ada.connected();
  await ada.subscribed("chat:lobby");
  await bob.publish("chat:lobby", "welcome back");
  await ada.receivesData("chat:lobby", { text: "welcome back", from: "bob", v: 2 }, "bob");

  step("nothing went wrong meanwhile");
  for (const tab of [ada, bob]) {
    equal("images out of texts", await tab.page.locator("img").count(), 0);
    equal("scripts run out of texts", await tab.page.evaluate(() => window.hurt), undefined);
    equal(`errors in ${tab.name}'s console`, tab.errors.join("\n"), "");
  }
}

/** Pictures and texts of the tabs, for who reads the failure. Never fails itself. */
async function keep(tabs) {
  const folder = await mkdtemp(join(tmpdir(), "tidegate-browser-"));
  for (const { name, page, errors } of tabs) {
    for (const error of errors) console.error(`${name}'s console: ${error}`);
    try {
      const text = await page.locator("body").innerText({ timeout: 5_000 });
      console.error(`--- ${name}'s tab ---\n${text}`);
      await writeFile(join(folder, `${name}.txt`), text);
      await page.screenshot({ path: join(folder, `${name}.png`), fullPage: true, timeout: 5_000 });
    } catch (error) {
      console.error(`no picture of ${name}'s tab: ${error.message}`);
    }
  }
  console.error(`pictures are in ${folder}`);
}

const browser = await launch();
const tabs = [];
try {
  const context = await browser.newContext();
  context.setDefaultTimeout(BOUND_MS);
  await context.addInitScript(() => {
    window.sockets = [];
    window.WebSocket = class extends WebSocket {
      constructor(...args) {
        super(...args);
        window.sockets.push(this);
      }
    };
  });
  for (const name of ["ada", "bob"]) tabs.push(await Tab.open(context, name));
  await scenario(...tabs);
} catch (error) {
  console.error(stripVTControlCharacters(error.message));
  await keep(tabs);
  process.exitCode = 1;
} finally {
  await browser.close();
}
