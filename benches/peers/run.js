// Runs every scenario against every server, round by round, so that what the machine does
// meanwhile falls on all of them; writes a table with medians, spread and ratios.
import { execFile } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";

import { machine, put } from "../page.js";
import { markdown, median } from "./report.js";
import { scenarios as all } from "./scenarios.js";
import { onCore, peers, start } from "./servers.js";

const usage = `benches/peers/run [--runs N] [--peers A,B] [--scenarios A,B] [--quick] [--write] [--install-sockudo]
  --runs N            rounds; the table has medians and the spread (5)
  --peers, --scenarios  only these
  --quick             one small round: does everything run?
  --write             puts the table into docs/benchmarks.md
  --install-sockudo   builds sockudo from crates.io first (half an hour, wants protoc); later runs find it
TIDEGATE=FILE is the binary, instead of one built for this.`;

const { values: options } = parseArgs({ options: {
  runs: { type: "string" }, peers: { type: "string" }, scenarios: { type: "string" }, quick: { type: "boolean" },
  write: { type: "boolean" }, "install-sockudo": { type: "boolean" }, help: { type: "boolean" },
} });
if (options.help) { console.log(usage); process.exit(); }
const rounds = Number(options.runs ?? (options.quick ? 1 : 5));
const named = (text, known, what) => {
  const names = text?.split(",") ?? known;
  for (const name of names) if (!known.includes(name)) { console.error(`run: no ${what} ${name}; there are ${known.join(", ")}`); process.exit(1); }
  return names;
};
if (!(Number.isInteger(rounds) && rounds > 0)) { console.error(usage); process.exit(1); }
const scenarios = all(options.quick);
const chosen = named(options.scenarios, scenarios.map((one) => one.name), "scenario");
const wanted = named(options.peers, Object.keys(peers), "peer");
const measured = wanted.filter((name) => !peers[name].missing?.());
for (const name of wanted) if (!measured.includes(name)) console.error(`run: ${name} is not here: left out`);

/** A run's figures; with `rate`, in an open loop. */
async function measure(scenario, peer, rate) {
  const server = await start(peer);
  try {
    const open = rate ? ["--rate", String(rate), "--seconds", scenario.seconds] : [];
    const args = ["bench", ...scenario.args, ...open, "--json", "--url", server.url, "--pid", String(server.pid), "--dialect", peers[peer].dialect];
    const text = await new Promise((done, fail) => execFile(...onCore(1, process.env.TIDEGATE, args), { timeout: 180_000 }, (error, out, said) =>
      (error ? fail(new Error(said.trim() || "not done within 180 s")) : done(out))));
    return { ...JSON.parse(text).runs[0], rate };
  } finally {
    await server.stop();
  }
}

const results = {};
/** What a peer publishes at saturation, by the rounds so far. */
const saturation = (peer) => {
  const runs = results["fan-out-64"]?.[peer];
  return Array.isArray(runs) && runs.length ? median(runs.map((run) => run.published_per_second)) : undefined;
};
for (let round = 1; round <= rounds; round++) {
  for (const scenario of scenarios.filter((one) => chosen.includes(one.name))) {
    const here = scenario.peers.filter((name) => measured.includes(name));
    // Nobody is always first.
    const order = here.map((_, at) => here[(at + round) % here.length]);
    const of = (results[scenario.name] ??= Object.fromEntries(here.map((name) => [name, []])));
    for (const peer of order) {
      if (typeof of[peer] === "string") continue;
      let rate;
      if (scenario.rateOf) {
        const full = saturation(scenario.rateOf === "self" ? peer : scenario.rateOf);
        if (!full) { of[peer] = "needs fan-out-64"; continue; }
        rate = Math.max(1, Math.round(full / 2));
      }
      try {
        of[peer].push(await measure(scenario, peer, rate));
        const { [scenario.main]: main } = of[peer].at(-1);
        console.error(`run: ${round}/${rounds} ${scenario.name} ${peer}: ${main.toFixed(0)} ${scenario.main}`);
      } catch (error) {
        const why = error.message.split("\n")[0].replace(/^tidegate: /, "");
        console.error(`run: ${round}/${rounds} ${scenario.name} ${peer} fails: ${error.message}`);
        of[peer] = `fails: ${why.replaceAll("|", "/").slice(0, 120)}`;
      }
    }
  }
}

const versions = measured.map((name) => `${name} ${peers[name].version()}`).join(", ");
const about = [
  machine(),
  `Versions: ${versions}, Node ${process.versions.node}. Command: \`benches/peers/run ${process.argv.slice(2).join(" ")}\`; ${rounds} rounds, medians in bold, the spread in brackets.`,
];
const text = markdown({ scenarios, results, about });
writeFileSync(join(import.meta.dirname, "results.json"), JSON.stringify({ about, results }, null, 1));
console.log(text);
if (options.write) put("results", text);
