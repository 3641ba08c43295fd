// Medians, spread and ratios, as Markdown.

export const median = (all) => {
  const sorted = [...all].sort((a, b) => a - b);
  return (sorted[(sorted.length - 1) >> 1] + sorted[sorted.length >> 1]) / 2;
};

const units = {
  deliveries_per_second: (n) => `${count(n)}/s`, connections_per_second: (n) => `${count(n)}/s`,
  published_per_second: (n) => `${count(n)}/s`,
  server_cpu_seconds_per_million: (n) => `${n.toFixed(3)} s`, server_cpu_us_per_connection: (n) => `${n.toFixed(0)} µs`,
  latency_p50_us: micros, latency_p99_us: micros, latency_p999_us: micros,
  resident_bytes_per_connection: (n) => `${(n / 1024).toFixed(1)} KiB`,
};
function count(n) { return n >= 1e6 ? `${(n / 1e6).toFixed(2)} M` : n >= 1e4 ? `${(n / 1e3).toFixed(0)} k` : n.toFixed(0); }
function micros(n) { return n >= 1e3 ? `${(n / 1e3).toFixed(2)} ms` : `${n.toFixed(n < 100 ? 1 : 0)} µs`; }

/** `2.31 M/s (2.10 M/s to 2.40 M/s)` */
export function cell(runs, key) {
  const figures = runs.map((run) => run[key]).filter(Number.isFinite);
  if (!figures.length) return "–";
  const show = units[key];
  const most = `**${show(median(figures))}**`;
  return figures.length === 1 ? most : `${most} (${show(Math.min(...figures))} to ${show(Math.max(...figures))})`;
}

function ratio(ours, theirs, key) {
  const of = (runs) => median(runs.map((run) => run[key]).filter(Number.isFinite));
  const value = of(ours) / of(theirs);
  return Number.isFinite(value) ? `${value.toFixed(2)}×` : "–";
}

export const row = (cells) => `| ${cells.join(" | ")} |`;
export const head = (cells) => [row(cells), row(cells.map(() => "---"))];

/** `results[scenario][peer]`: runs, or a string that says why there are none. */
export function markdown({ scenarios, results, about }) {
  const lines = [...about, ""];
  for (const scenario of scenarios.filter((one) => results[one.name])) {
    const ours = results[scenario.name].tidegate;
    const cpu = scenario.cpu;
    lines.push(`### ${scenario.title}`, "");
    const main = { deliveries_per_second: "deliveries", latency_p99_us: "p99", connections_per_second: "connections", resident_bytes_per_connection: "a connection" }[scenario.main];
    const more = scenario.rateOf ? ["p50", "at"] : cpu ? [cpu.endsWith("million") ? "server CPU a million" : "server CPU each"] : [];
    lines.push(...head(["server", main, "Tidegate is", ...more, ...(cpu ? ["Tidegate is"] : []), "client busy"]));
    for (const [peer, runs] of Object.entries(results[scenario.name])) {
      if (typeof runs === "string") { lines.push(row([peer, runs, "", ...more.map(() => ""), ...(cpu ? [""] : []), ""])); continue; }
      const compare = (key) => (peer === "tidegate" || typeof ours === "string" || !ours ? "" : ratio(ours, runs, key));
      const cells = [peer, cell(runs, scenario.main), compare(scenario.main)];
      if (scenario.rateOf) cells.push(cell(runs, "latency_p50_us"), `${median(runs.map((run) => run.rate)).toFixed(0)}/s`);
      else if (cpu) cells.push(cell(runs, cpu), compare(cpu));
      cells.push(median(runs.map((run) => run.client_cores)).toFixed(2));
      lines.push(row(cells));
    }
    lines.push("");
  }
  return lines.join("\n");
}
