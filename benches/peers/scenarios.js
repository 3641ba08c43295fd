// What is measured.

import { descriptors } from "../page.js";

const everybody = ["tidegate", "bun", "ws", "socketio", "sockudo"];

/** Pusher's client events are for members of the channel: a hundred publishers would be a hundred subscribers. */
const whoseUnsubscribedPublish = everybody.filter((name) => name !== "sockudo");

/** `quick`: as small as it goes, to see that everything runs. */
export function scenarios(quick) {
  const idle = descriptors();
  const time = ["--seconds", quick ? "1" : "4"];
  const n = quick ? 100 : 1000;
  const fanOut = ["fan-out", "--subscribers", String(n)];
  const full = { main: "deliveries_per_second", cpu: "server_cpu_seconds_per_million" };
  return [
    { name: "fan-out-64", title: `1 → ${n}, window 64`, args: [...fanOut, "--window", "64", ...time], ...full },
    { name: "fan-out-4", title: `1 → ${n}, window 4`, args: [...fanOut, "--window", "4", ...time], ...full },
    { name: "rooms", title: "20 rooms of 10, window 64", args: ["rooms", ...time], ...full },
    { name: "publish", title: "100 publishers → 1, window 16", args: ["publish", ...time], peers: whoseUnsubscribedPublish, ...full },
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
      name: "idle", title: `memory of each of ${quick ? 2000 : idle} idle connections`,
      args: ["connect", "--connections", String(quick ? 2000 : idle)], main: "resident_bytes_per_connection", less: true,
    },
  ].map((scenario) => ({ peers: everybody, ...scenario }));
}
