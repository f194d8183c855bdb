// Bundle the code of the extension host and of the webviews into dist/; the chat view comes from aura_core/web.

import { cpSync, rmSync } from "node:fs";
import { build, context } from "esbuild";

const production = process.argv.includes("--production");
const common = { bundle: true, minify: production, sourcemap: !production, logLevel: "warning", outdir: "dist" };
const builds = [
  { ...common, entryPoints: ["src/extension.ts"], platform: "node", format: "cjs", target: "node20", external: ["vscode"] },
  {
    ...common,
    entryPoints: { chat: "src/webview/chat.ts", workflow: "src/webview/workflow.ts" },
    platform: "browser",
    format: "iife",
    target: "chrome130", // VS Code 1.100 is Electron 34
  },
  { ...common, entryPoints: { chat: "src/webview/chat.css", workflow: "src/webview/workflow.css" } },
];

rmSync("dist", { recursive: true, force: true });
if (process.argv.includes("--watch")) {
  for (const options of builds) await (await context(options)).watch();
} else {
  await Promise.all(builds.map((options) => build(options)));
  cpSync("node_modules/yaml/LICENSE", "dist/yaml.LICENSE.txt"); // the only library in the bundle
}
