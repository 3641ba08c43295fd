// What pages of figures have in common: what they were measured on, and their place in docs/benchmarks.md.
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { cpus, loadavg, release, totalmem } from "node:os";
import { join } from "node:path";

const git = (...args) => { try { return execFileSync("git", args, { cwd: import.meta.dirname, encoding: "utf8" }).trim(); } catch { return "?"; } };

/** One line: when, what, on what. */
export const machine = () =>
  `${new Date().toISOString().slice(0, 10)}, commit ${git("rev-parse", "--short", "HEAD")}: ${cpus().length} × ${cpus()[0].model}, ${Math.round(totalmem() / 2 ** 30)} GiB, Linux ${release()}; load before the last run ${loadavg()[0].toFixed(1)}.`;

/** Puts text into the page, between `<!-- NAME -->` and `<!-- end of NAME -->`. */
export function put(name, text) {
  const file = join(import.meta.dirname, "../docs/benchmarks.md");
  const page = readFileSync(file, "utf8");
  const [begin, end] = [`<!-- ${name} -->`, `<!-- end of ${name} -->`];
  const [from, to] = [page.indexOf(begin), page.indexOf(end)];
  if (from < 0 || to < from) throw new Error(`${file} has no ${begin} … ${end}`);
  writeFileSync(file, `${page.slice(0, from + begin.length)}\n${text}\n${page.slice(to)}`);
}

/** A connection is a descriptor; the load and the servers have some more. */
export const descriptors = () => {
  const limit = readFileSync("/proc/self/limits", "utf8").match(/Max open files\s+(\d+)/)?.[1];
  return Math.min(20_000, Number(limit ?? 1024) - 300);
};
