// What is kept for a workspace: a folder in the extension's own storage, and in it a file for each thing.
//
// VS Code's workspaceState is kept by the window, in a browser even by the browser: what is written while a window goes
// away is lost, and a killed browser takes all of it along. Its storageUri is another folder as long as the extension
// host of a killed window lives on. A file in the global storage that is written at once is there next time; and as
// each thing has its own, two windows (or the host of a killed one) do not write over what the other keeps.

import { createHash } from "node:crypto";
import { readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { writeAtomically } from "./atomicWrite.js";

/** Workspaces that are remembered. */
const MOST = 100;

/** Keys are words. */
export interface Memory {
  keys(): string[];
  get(key: string): unknown;
  /** Keep this, or forget what was kept if it is undefined. */
  update(key: string, value: unknown): void;
}

export class FileMemory implements Memory {
  #folder;
  #failed;

  /** `failed` is told when something cannot be written. */
  constructor(folder: string, workspace: string, failed: (error: unknown) => void) {
    forgetOldest(folder);
    this.#folder = join(folder, createHash("sha256").update(workspace).digest("hex").slice(0, 32));
    this.#failed = failed;
  }

  keys(): string[] {
    try {
      return readdirSync(this.#folder).flatMap((name) => /^(\w+)\.json$/.exec(name)?.[1] ?? []);
    } catch {
      return []; // the first time
    }
  }

  get(key: string): unknown {
    try {
      return JSON.parse(readFileSync(this.#path(key), "utf8"));
    } catch {
      return undefined; // not there, or not ours
    }
  }

  update(key: string, value: unknown): void {
    try {
      if (value === undefined) rmSync(this.#path(key), { force: true });
      else writeAtomically(this.#path(key), JSON.stringify(value));
    } catch (error) {
      this.#failed(error);
    }
  }

  #path(key: string): string {
    return join(this.#folder, `${key}.json`);
  }
}

function forgetOldest(folder: string): void {
  try {
    const kept = readdirSync(folder).map((name) => join(folder, name));
    const aged = kept.map((path) => ({ path, used: statSync(path).mtimeMs })).sort((a, b) => b.used - a.used);
    for (const { path } of aged.slice(MOST)) rmSync(path, { recursive: true, force: true });
  } catch {
    // There is no folder yet, or another window tidies up too.
  }
}
