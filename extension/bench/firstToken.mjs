// Print the milliseconds from the click on Send to the first painted token, in a real workbench with `echo`.

import { build } from "esbuild";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

const GOALS = { cold: 500, warm: 150 };
const WARM = 20;

// The harness of the end-to-end tests, bundled for plain Node.
const here = import.meta.dirname;
const outfile = resolve(here, "../.cache/bench/harness.mjs");
await build({
  stdin: {
    contents: `export * from "./workbench.js"; export * from "./aura.js"; export { default as install } from "./install.js";`,
    resolveDir: resolve(here, "../test/e2e"),
    loader: "ts",
  },
  bundle: true,
  platform: "node",
  format: "esm",
  packages: "external",
  define: { "import.meta.dirname": JSON.stringify(resolve(here, "../test/e2e")) },
  outfile,
  logLevel: "error",
});
const { Aura, Workbench, install } = await import(pathToFileURL(outfile).href);

/** Send in the page itself, and wait for the frame after the one in which the text is there. */
async function measure(frame, text) {
  await frame.getByLabel("Message").fill(text);
  return frame.evaluate(
    (wanted) =>
      new Promise((done) => {
        const log = document.querySelector(".messages");
        const began = performance.now();
        const observer = new MutationObserver(() => {
          if (!log.lastElementChild?.querySelector(".text")?.textContent?.includes(wanted)) return;
          observer.disconnect();
          requestAnimationFrame(() => setTimeout(() => done(performance.now() - began)));
        });
        observer.observe(log, { childList: true, subtree: true, characterData: true });
        document.querySelector(".send").click();
      }),
    text,
  );
}

install();
const folder = mkdtempSync(join(tmpdir(), "aura-bench-"));
const aura = await new Aura().start(["--demo", "--port", "0"], folder);
const workbench = new Workbench({ settings: { "aura.server.url": aura.url } });
try {
  await workbench.start();
  const frame = await workbench.chat();
  await frame.locator('option[value="echo"]').waitFor({ state: "attached" });
  await frame.getByLabel("Agent", { exact: true }).selectOption("echo");
  const cold = await measure(frame, "first0");
  const warm = [];
  for (let turn = 1; turn <= WARM; turn++) {
    await frame.locator(".answer").last().getByText(/tokens in total/).waitFor();
    warm.push(await measure(frame, `first${turn}`));
  }
  warm.sort((a, b) => a - b);
  const of = (share) => Math.round(warm[Math.floor(share * (warm.length - 1))]);
  console.log(`click to first painted token: cold ${Math.round(cold)} ms (goal ${GOALS.cold})`);
  console.log(`warm, ${WARM} turns: median ${of(0.5)} ms, p95 ${of(0.95)} ms (goal ${GOALS.warm})`);
} finally {
  await workbench.stop();
  await aura.stop();
  rmSync(folder, { recursive: true, force: true });
}
