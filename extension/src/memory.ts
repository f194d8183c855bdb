// What is kept for a workspace, in a file of the extension's own storage.
//
// VS Code's workspaceState is kept by the window, in a browser even by the browser: what is written while a window goes
// away is lost, and a killed browser takes all of it along. Its storageUri is another folder as long as the extension
// host of a killed window lives on. A file in the global storage that is written at once is there next time.

import { createHash } from "node:crypto";
import { readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { writeWhole } from "./whole.js";

/** Workspaces that are remembered. */
const MOST = 100;

export interface Memory {
  get(key: string): unknown;
  update(key: string, value: unknown): void;
}

export class FileMemory implements Memory {
  #path;
  #values: Record<string, unknown>;
  #failed;

  /** `failed` is told when the file cannot be written; what it holds lives on until the window closes. */
  constructor(folder: string, workspace: string, failed: (error: unknown) => void) {
    forgetOldest(folder);
    this.#path = join(folder, `${createHash("sha256").update(workspace).digest("hex").slice(0, 32)}.json`);
    this.#values = read(this.#path);
    this.#failed = failed;
  }

  get(key: string): unknown {
    return this.#values[key];
  }

  update(key: string, value: unknown): void {
    this.#values[key] = value;
    try {
      writeWhole(this.#path, JSON.stringify(this.#values));
    } catch (error) {
      this.#failed(error);
    }
  }
}

function forgetOldest(folder: string): void {
  try {
    const files = readdirSync(folder).map((name) => join(folder, name));
    const aged = files.map((file) => ({ file, used: statSync(file).mtimeMs })).sort((a, b) => b.used - a.used);
    for (const { file } of aged.slice(MOST)) rmSync(file, { force: true });
  } catch {
    // There is no folder yet, or another window tidies up too.
  }
}

function read(path: string): Record<string, unknown> {
  try {
    const values: unknown = JSON.parse(readFileSync(path, "utf8"));
    return typeof values === "object" && values !== null ? (values as Record<string, unknown>) : {};
  } catch {
    return {}; // the first time, or not ours
  }
}
