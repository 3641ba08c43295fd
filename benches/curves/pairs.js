// What a part of Tidegate costs: a run without it, a run with it, in turn.
import { descriptors } from "../page.js";

const rule = (...lines) => ['[[channel]]', 'pattern = "*"', ...lines, ""].join("\n");

const figures = {
  deliveries: { key: "deliveries_per_second", name: "deliveries/s", more: true },
  cpu: { key: "server_cpu_seconds_per_million", name: "server CPU a million" },
  p50: { key: "latency_p50_us", name: "p50" },
  memory: { key: "resident_bytes_per_connection", name: "memory a connection" },
};

/**
 * `goal` is of the last figure named: of the ratio with to without, of the difference, or of what is measured itself.
 * `quick`: as small as it goes, to see that everything runs.
 */
export function pairs(quick) {
  const length = quick ? ["--messages", "200"] : ["--seconds", "2"];
  const n = quick ? 100 : 1000, idle = quick ? 500 : Math.floor(descriptors() / 1000) * 1000;
  const crowd = ["--subscribers", String(n), "--window", "64", ...length];
  const one = ["--subscribers", "1", "--window", "1", ...length];
  const fanOut = { args: ["fan-out", ...crowd] };
  const passes = (load) => ({ args: ["plugin", "--plugin", "pass", ...load], plugins: "tests/fixtures" });
  const limited = ["fan-out", "--subscribers", String(n), "--rate", quick ? "500" : "1000", ...(quick ? ["--messages", "200"] : length)];
  const { deliveries, cpu, p50, memory } = figures;
  return [
    {
      name: "handler", title: `a Rust handler in the path of every publish, 1 → ${n}, window 64`,
      without: fanOut, with: passes(crowd), figures: [cpu, deliveries], goal: { ratio: 0.9, words: "≥ 0.90×" },
    },
    {
      name: "handler-latency", title: "the same handler, 1 → 1, one message at a time",
      without: { args: ["fan-out", ...one] }, with: passes(one), figures: [cpu, p50], goal: { added: 1, words: "≤ 1 µs added" },
    },
    {
      name: "chat", title: `one that parses, checks and signs (chat), 1 → ${n}, window 64`,
      without: fanOut, with: { args: ["plugin", ...crowd] }, figures: [deliveries, cpu],
    },
    {
      name: "filters", title: `100 distinct filters, 1 → ${n}, window 64`,
      without: fanOut, with: { args: ["filters", ...crowd, "--filters", "100"] }, figures: [cpu, deliveries], goal: { ratio: 0.75, words: "≥ 0.75×" },
    },
    {
      name: "history", title: `a history of 1,000 messages, 1 → ${n}, window 64`,
      without: fanOut, with: { ...fanOut, config: rule("history = { messages = 1000 }") }, figures: [deliveries, cpu],
    },
    {
      name: "presence", title: `every subscriber is present, 1 → ${n}, window 64`,
      without: fanOut, with: { ...fanOut, config: rule('presence = "auto"') }, figures: [deliveries, cpu],
    },
    {
      name: "shards", title: `two shards instead of one, 1 → ${n}, ${quick ? 500 : "1,000"} messages/s`,
      without: { args: limited }, with: { args: [...limited, "--shards", "2"] }, figures: [p50, cpu], goal: { ratio: 1 / 0.9, words: "≤ 1.11×" },
    },
    {
      name: "idle", title: `${idle.toLocaleString("en")} idle connections`,
      with: { args: ["connect", "--connections", String(idle)] }, figures: [memory], goal: { most: 4096, words: "≤ 4.0 KiB" },
    },
    {
      name: "comings", title: "100 come and go before 100 who are told",
      with: { args: ["presence", ...length] }, figures: [deliveries, cpu],
    },
    {
      name: "recovery", title: `${n.toLocaleString("en")} come back at once for 100 messages`,
      with: { args: ["recovery", "--clients", String(n)] }, figures: [deliveries, cpu],
    },
  ];
}

/** Does the median meet the goal? None: there is no goal. */
export function met({ goal, figures }, medians) {
  if (!goal) return undefined;
  const { without, with: value } = medians.at(-1);
  if (goal.added !== undefined) return value - without <= goal.added;
  if (goal.most !== undefined) return value <= goal.most;
  return figures.at(-1).more ? value / without >= goal.ratio : value / without <= goal.ratio;
}
