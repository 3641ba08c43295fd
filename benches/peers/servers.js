// The servers under load: how each is started, and where it says that it listens.
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";

const here = import.meta.dirname;
const root = join(here, "../..");
const tidegate = process.env.TIDEGATE;

const version = (name) => JSON.parse(readFileSync(join(here, "node_modules", name, "package.json"))).version;

/** By name: its version, the dialect that the load speaks to it, and the command of a run. */
export const peers = {
  tidegate: {
    version: () => readFileSync(join(root, "Cargo.toml"), "utf8").match(/version = "(.*?)"/)[1],
    dialect: "native",
    command: (dir) => [tidegate, ["serve", "--listen", "127.0.0.1:0", "--shards", "1", "--plugins", dir]],
  },
  bun: { version: () => version("bun"), dialect: "plain", command: () => [join(here, "node_modules/.bin/bun"), ["run", "bun.js"]] },
  ws: { version: () => version("ws"), dialect: "plain", command: () => [process.execPath, ["ws.js"]] },
  socketio: { version: () => version("socket.io"), dialect: "socketio", command: () => [process.execPath, ["socketio.js"]] },
  sockudo: {
    version: () => "5.2.0",
    dialect: "pusher",
    missing: () => !existsSync(join(here, "target/sockudo/bin/sockudo")),
    port: true,
    command: (_dir, port) => [join(here, "target/sockudo/bin/sockudo"), [], sockudo(port)],
  },
};

/** One thread, everything in memory, nothing limited, one app whose clients may publish. */
const sockudo = (port) => ({
  TOKIO_WORKER_THREADS: "1", HOST: "127.0.0.1", PORT: String(port), METRICS_ENABLED: "false", RATE_LIMITER_ENABLED: "false",
  SOCKUDO_DEFAULT_APP_ID: "app-id", SOCKUDO_DEFAULT_APP_KEY: "app-key", SOCKUDO_DEFAULT_APP_SECRET: "app-secret",
  SOCKUDO_DEFAULT_APP_ENABLED: "true", SOCKUDO_ENABLE_CLIENT_MESSAGES: "true", SOCKUDO_DEFAULT_APP_ENABLE_CLIENT_MESSAGES: "true",
  SOCKUDO_DEFAULT_APP_MAX_CONNECTIONS: "1000000", SOCKUDO_DEFAULT_APP_MAX_CLIENT_EVENTS_PER_SECOND: "100000000",
  SOCKUDO_DEFAULT_APP_MAX_BACKEND_EVENTS_PER_SECOND: "100000000", RUST_LOG: "error",
});

const freePort = () => new Promise((done) => {
  const server = createServer().listen(0, "127.0.0.1", () => {
    const { port } = server.address();
    server.close(() => done(port));
  });
});

/** A command on a core of its own: the scheduler likes to put who is woken beside who has woken it. */
export const onCore = (core, program, args) =>
  (cpus().length > 1 ? ["taskset", ["-c", String(core), program, ...args]] : [program, args]);

/** Starts one, on the first core; resolves when it listens. */
export async function start(name) {
  const peer = peers[name];
  const dir = mkdtempSync(join(tmpdir(), "tidegate-peers-"));
  const port = peer.port ? await freePort() : 0;
  const [program, args, more = {}] = peer.command(dir, port);
  const plain = Object.entries(process.env).filter(([key]) => !key.startsWith("TIDEGATE_"));
  const env = { ...Object.fromEntries(plain), ...more };
  const child = spawn(...onCore(0, program, args), { cwd: here, env, stdio: ["ignore", "pipe", "pipe"] });
  const gone = new Promise((done) => child.once("exit", done));
  child.once("error", () => {});
  const stop = async () => { child.kill("SIGKILL"); await gone; rmSync(dir, { recursive: true, force: true }); };
  let log = "";
  try {
    const url = await new Promise((found, fail) => {
      const limit = setTimeout(() => fail(new Error(`${name} does not listen after 30 s:\n${log}`)), 30_000);
      child.once("exit", (code) => fail(new Error(`${name} ended with ${code}:\n${log}`)));
      child.once("error", fail);
      const hear = (chunk) => {
        if (log.length < 1 << 16) log += chunk;
        const address = log.match(/http:\/\/(127\.0\.0\.1:\d+)/);
        if (address && !peer.port) { clearTimeout(limit); found(`ws://${address[1]}`); }
      };
      child.stdout.on("data", hear);
      child.stderr.on("data", hear);
      if (peer.port) answers(port).then(() => { clearTimeout(limit); found(`ws://127.0.0.1:${port}`); }, fail);
    });
    return { url, pid: child.pid, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** One that does not say so listens when it answers. */
async function answers(port) {
  for (let tries = 0; tries < 300; tries++) {
    const there = await fetch(`http://127.0.0.1:${port}/`).then(() => true, () => false);
    if (there) return;
    await new Promise((done) => setTimeout(done, 100));
  }
}
