// The harness of the end-to-end tests, bundled for plain Node.

import { build } from "esbuild";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";

const here = import.meta.dirname;
const outfile = resolve(here, "../.cache/bench/harness.mjs");
const parts = ["./workbench.js", "./aura.js", "./eventually.js"].map((part) => `export * from "${part}";`);
await build({
  stdin: {
    contents: [...parts, `export { default as install } from "./install.js";`].join("\n"),
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
export const { agents, ask, Aura, eventually, Upstream, Workbench, install } = await import(pathToFileURL(outfile).href);

/** The value that this share of the values does not exceed. */
export function quantile(values, share) {
  return [...values].sort((a, b) => a - b)[Math.min(Math.floor(values.length * share), values.length - 1)];
}
