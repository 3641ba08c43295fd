// One run of the load tool, which starts a server of its own for it.
import { execFile } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const root = join(import.meta.dirname, "../..");
/** Nothing here takes a fifth of it. */
const bound = 180_000;

/** The figures of `tidegate bench …args`; `config`: TOML of the server; `plugins`: the folder of those it loads. */
export async function bench({ args, config, plugins = "plugins/examples" }) {
  const dir = mkdtempSync(join(tmpdir(), "tidegate-curves-"));
  try {
    const all = ["bench", ...args, "--json", "--plugins", join(root, plugins)];
    if (config) {
      writeFileSync(join(dir, "tidegate.toml"), config);
      all.push("--config", join(dir, "tidegate.toml"));
    }
    const env = Object.fromEntries(Object.entries(process.env).filter(([key]) => !key.startsWith("TIDEGATE_")));
    const text = await new Promise((done, fail) => execFile(process.env.TIDEGATE, all, { timeout: bound, env }, (error, out, said) =>
      (error ? fail(new Error(`tidegate ${all.join(" ")}: ${said.trim() || `not done within ${bound / 1000} s`}`)) : done(out))));
    return JSON.parse(text).runs[0];
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}
