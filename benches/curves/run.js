// Draws what growth costs, and tells what Tidegate's parts cost beside Tidegate without them.
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";

import { machine, put } from "../page.js";
import { cell, head, median, row } from "../peers/report.js";
import { bench } from "./bench.js";
import { curves as allCurves } from "./curves.js";
import { met, pairs as allPairs } from "./pairs.js";
import { svg } from "./svg.js";

const usage = `benches/curves/run [--only A,B] [--curve-runs N] [--pair-runs N] [--quick] [--write]
  --only A,B      of curves and comparisons only these
  --curve-runs N  runs of each point (3)
  --pair-runs N   runs with and without, in turn (5)
  --quick         one small run of each: does everything run?
  --write         puts tables and plots into docs/benchmarks.md and docs/curves
TIDEGATE=FILE is the binary, instead of one built for this.`;

let options;
try {
  ({ values: options } = parseArgs({ options: {
    only: { type: "string" }, "curve-runs": { type: "string" }, "pair-runs": { type: "string" },
    quick: { type: "boolean" }, write: { type: "boolean" }, help: { type: "boolean" },
  } }));
} catch (error) { fail(error.message); }
if (options.help) { console.log(usage); process.exit(); }
function fail(why) { console.error(`run: ${why}\n${usage}`); process.exit(1); }
const count = (text, otherwise) => {
  const number = Number(text ?? (options.quick ? 1 : otherwise));
  return Number.isInteger(number) && number > 0 ? number : fail(`${text} is no number of runs`);
};
const runs = { curve: count(options["curve-runs"], 3), pair: count(options["pair-runs"], 5) };
const all = { curves: allCurves(options.quick), pairs: allPairs(options.quick) };
const known = [...all.curves, ...all.pairs].map((one) => one.name);
const only = options.only?.split(",") ?? known;
for (const name of only) if (!known.includes(name)) fail(`no curve or comparison ${name}; there are ${[...new Set(known)].join(", ")}`);
const [curves, pairs] = [all.curves, all.pairs].map((some) => some.filter((one) => only.includes(one.name)));
if (options.write && only.length < known.length) fail("--write wants all of them");
const say = (text) => console.error(`run: ${text}`);

const cost = "server_cpu_seconds_per_million";
/** A second for a million is a microsecond for one. */
const showCost = (micros) => (micros >= 1 ? `${Number(micros.toPrecision(3))} µs` : `${Number((micros * 1000).toPrecision(3))} ns`);
const showCount = (n) => n.toLocaleString("en");

/** Measures the points round by round, so that what the machine does meanwhile falls on all of them. */
async function measure(curve) {
  const points = curve.series.flatMap((series) => series.xs.map((x) => ({ series, x, costs: [] })));
  for (let round = 1; round <= runs.curve; round++) {
    for (const { series, x, costs } of points) {
      costs.push((await bench(series.run(x)))[cost]);
      say(`${round}/${runs.curve} ${curve.name}, ${series.name}, ${x}: ${showCost(costs.at(-1))} a delivery`);
    }
  }
  return curve.series.map((series) => ({
    name: series.name,
    points: points.filter((point) => point.series === series).map(({ x, costs }) =>
      // A run too short for the system's clock has cost nothing; a logarithm wants something.
      ({ x, ...Object.fromEntries(Object.entries({ median: median(costs), least: Math.min(...costs), greatest: Math.max(...costs) }).map(([key, value]) => [key, Math.max(value, 0.001)])) })),
  }));
}

const plots = join(import.meta.dirname, "../../docs/curves");
/** A plot and its figures; the table is for those who do not see the plot. */
function page(curve, series) {
  const picture = svg({ title: curve.title, x: curve.x, y: "server CPU a delivery", series, showX: showCount, showY: showCost });
  if (options.write) { mkdirSync(plots, { recursive: true }); writeFileSync(join(plots, `${curve.name}.svg`), picture); }
  const xs = [...new Set(series.flatMap((one) => one.points.map((point) => point.x)))].sort((a, b) => a - b);
  const lines = series.map((one) => row([one.name, ...xs.map((x) => { const point = one.points.find((point) => point.x === x); return point ? showCost(point.median) : ""; })]));
  return [`![${curve.title}](curves/${curve.name}.svg)`, "", ...head([curve.x, ...xs.map(showCount)]), ...lines, ""];
}

async function compare(pair) {
  const of = { without: [], with: [] };
  for (let round = 1; round <= runs.pair; round++) {
    // Neither is always first.
    for (const side of round % 2 ? ["without", "with"] : ["with", "without"]) {
      if (pair[side]) of[side].push(await bench(pair[side]));
    }
    say(`${round}/${runs.pair} ${pair.name}`);
  }
  return of;
}

function lines(pair, of) {
  const values = (side, key) => of[side].map((run) => run[key]).filter(Number.isFinite);
  const medians = pair.figures.map(({ key }) => ({ without: median(values("without", key)), with: median(values("with", key)) }));
  const verdict = { true: "met", false: "**missed**" }[met(pair, medians)] ?? "";
  return pair.figures.map(({ key, name }, at) => {
    const { without, with: value } = medians[at], last = at === pair.figures.length - 1;
    const change = !pair.without ? "" : key === "latency_p50_us" ? `${value - without < 0 ? "−" : "+"}${Math.abs(value - without).toFixed(1)} µs` : without > 0 ? `${(value / without).toFixed(2)}×` : "–";
    return row([at ? "" : pair.title, name, pair.without ? cell(of.without, key) : "", cell(of.with, key), change, last && pair.goal ? pair.goal.words : "", last ? verdict : ""]);
  });
}

const drawn = [], compared = [];
for (const pair of pairs) compared.push(...lines(pair, await compare(pair)));
for (const curve of curves) drawn.push(...page(curve, await measure(curve)));
const about = [machine(), `Command: \`benches/curves/run ${process.argv.slice(2).join(" ")}\`.`];
const parts = [...about, `${runs.pair} runs of each, in turn; medians in bold, the spread in brackets.`, "", ...head(["what", "figure", "without", "with", "change", "goal", ""]), ...compared].join("\n");
const growth = [...about, `Medians of ${runs.curve} runs of each point, the lines at them are the spread.`, "", ...drawn].join("\n");
console.log(`${parts}\n\n${growth}`);
if (options.write) { put("parts", `${parts}\n`); put("growth", growth); }
