// Install the workbench for the end-to-end tests into an ignored folder: Node 24, code-server, and our VSIX.

import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";

const ROOT = resolve(import.meta.dirname, "../..");
export const CACHE = join(ROOT, ".cache");
/** VS Code 1.139.1. With CODE_SERVER=4.100.3 it is 1.100.3, the lower bound; that one runs on Node 20. */
const VERSION = process.env["CODE_SERVER"] ?? "4.139.1";
export const OLD = VERSION.startsWith("4.100.");
const FOLDER = join(CACHE, `code-server-${VERSION}`);

export const NODE = OLD ? process.execPath : join(CACHE, "node", "node_modules", "node", "bin", "node");
export const ENTRY = join(FOLDER, "node_modules", "code-server", "out", "node", "entry.js");
export const EXTENSIONS = join(CACHE, `extensions-${VERSION}`);
/** A benchmark may compare with an earlier one. */
export const VSIX = process.env["VSIX"] ?? join(ROOT, "aura.vsix");

export default function setup(): void {
  if (!OLD) install(join(CACHE, "node"), NODE, () => npm(join(CACHE, "node"), "i", "node@24", "--no-save"));
  install(FOLDER, join(FOLDER, ".complete"), () => {
    npm(FOLDER, "i", `code-server@${VERSION}`, "--no-save", "--ignore-scripts");
    // 4.100 needs a compiled argon2 before it starts at all.
    if (OLD) npm(FOLDER, "rebuild", "argon2");
    npm(join(FOLDER, "node_modules", "code-server", "lib", "vscode"), "i", "--omit=dev", "--omit=optional", "--ignore-scripts");
    writeFileSync(join(FOLDER, ".complete"), VERSION);
  });
  rmSync(EXTENSIONS, { recursive: true, force: true });
  const args = [ENTRY, "--extensions-dir", EXTENSIONS, "--user-data-dir", join(CACHE, "install"), "--install-extension", VSIX];
  run(NODE, args, ROOT);
}

function install(folder: string, proof: string, make: () => void): void {
  if (existsSync(proof)) return;
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "package.json"), '{ "private": true }\n');
  make();
}

function npm(cwd: string, ...args: string[]): void {
  run("npm", [...args, "--no-audit", "--no-fund", "--loglevel=error"], cwd);
}

function run(command: string, args: string[], cwd: string): void {
  try {
    execFileSync(command, args, { cwd, stdio: "pipe", timeout: 600_000 });
  } catch (error) {
    const { stdout, stderr } = error as { stdout?: Buffer; stderr?: Buffer };
    throw new Error(`${command} ${args.join(" ")} failed:\n${stdout}\n${stderr}`, { cause: error });
  }
}

export function axe(): string {
  return readFileSync(join(ROOT, "node_modules", "axe-core", "axe.min.js"), "utf8");
}
