// What is measured. `own`: with what nobody else has, beside Tidegate's plain figure.

const everybody = ["tidegate", "bun", "ws", "socketio", "sockudo"];

/** `quick`: as small as it goes, to see that everything runs. */
export function scenarios(quick) {
  const time = ["--seconds", quick ? "1" : "4"];
  const n = quick ? 100 : 1000;
  const fanOut = ["fan-out", "--subscribers", String(n)];
  const full = { main: "deliveries_per_second", cpu: "server_cpu_seconds_per_million" };
  return [
    { name: "fan-out-64", title: `1 → ${n}, window 64`, args: [...fanOut, "--window", "64", ...time], ...full },
    { name: "fan-out-4", title: `1 → ${n}, window 4`, args: [...fanOut, "--window", "4", ...time], ...full },
    { name: "rooms", title: "20 rooms of 10, window 64", args: ["rooms", ...time], ...full },
    { name: "publish", title: "100 publishers → 1, window 16", args: ["publish", ...time], ...full },
    { name: "slow", title: `1 → ${n}, 50 more never read, window 64`, args: ["slow", "--subscribers", String(n), ...time], ...full },
    {
      name: "half", title: `1 → ${n}, open loop at half of its own saturation`, args: fanOut, rateOf: "self",
      main: "latency_p99_us", less: true, seconds: quick ? "2" : "8",
    },
    {
      name: "half-of-bun", title: `1 → ${n}, open loop at half of Bun's saturation`, args: fanOut, rateOf: "bun",
      peers: ["tidegate", "bun"], main: "latency_p99_us", less: true, seconds: quick ? "2" : "8",
    },
    {
      name: "connect", title: `connect storm of ${quick ? 500 : 10_000}`,
      args: ["connect", "--connections", quick ? "500" : "10000"], main: "connections_per_second",
      cpu: "server_cpu_us_per_connection",
    },
    {
      name: "idle", title: `memory of each of ${quick ? "2,000" : "20,000"} idle connections`,
      args: ["connect", "--connections", quick ? "2000" : "20000"], main: "resident_bytes_per_connection", less: true,
    },
    // Beside Tidegate's own fan-out.
    { name: "filters", own: true, title: `1 → ${n}, 100 filters`, args: ["filters", "--subscribers", String(n), ...time], server: { plugins: ["level-filter"] }, ...full },
    { name: "plugin", own: true, title: `1 → ${n}, a Rust handler in the path`, args: ["plugin", "--subscribers", String(n), ...time], server: { plugins: ["chat"] }, ...full },
    { name: "history", own: true, title: `1 → ${n}, history of 1,000`, args: [...fanOut, "--window", "64", ...time], server: { config: "[[channel]]\npattern = \"*\"\nhistory = { messages = 1000 }\n" }, ...full },
    { name: "two-shards", own: true, title: `1 → ${n}, two shards`, args: [...fanOut, "--window", "64", ...time], server: { shards: 2 }, ...full },
    { name: "presence", own: true, title: "100 come and go before 100", args: ["presence", ...time], ...full },
    {
      name: "recovery", own: true, title: `${n} come back at once for 100 messages`, args: ["recovery", "--clients", String(n)],
      server: { config: "[[channel]]\npattern = \"*\"\nhistory = { messages = 10000, bytes = 16777216 }\n" }, ...full,
    },
  ].map((scenario) => ({ peers: scenario.own ? ["tidegate"] : everybody, ...scenario }));
}
