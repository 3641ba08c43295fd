// A browser that goes with this process.

import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

export async function launch() {
  const browser = await chromium.launch({
    executablePath: fileURLToPath(new URL("chromium", import.meta.url)),
    headless: true,
    args: ["--no-sandbox", "--disable-gpu"],
    handleSIGTERM: false,
    timeout: 30_000,
  });
  process.once("SIGTERM", () => process.exit(143));
  return browser;
}
