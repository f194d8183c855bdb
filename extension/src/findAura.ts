// Find the program that `aura.server.command` starts: in the active Python environment, or on the PATH; never fetched.

import { accessSync, constants, statSync } from "node:fs";
import { homedir } from "node:os";
import { delimiter, isAbsolute, join } from "node:path";

/** Where the program is: on the PATH or named by its path; in a folder that the PATH lacks; or nowhere. */
export type Found = { kind: "there" } | { kind: "in"; folder: string } | { kind: "missing"; program: string };

export interface Places {
  /** The folders with the programs of the active Python environment, the likeliest first. */
  active: string[];
  path: string;
  /** Folders in which tools put programs although the PATH may lack them. */
  usual: string[];
}

/** The first word of a command that is not a variable: the program. */
export function programOf(command: string): string {
  const words = command.trim().split(/\s+/);
  const word = words.find((word) => !/^[A-Za-z_]\w*=/.test(word)) ?? "";
  return word.replaceAll('"', "").replaceAll("'", "");
}

export function findProgram(command: string, { active, path, usual }: Places): Found {
  const program = programOf(command);
  if (program.startsWith("$") || program === "&") return { kind: "there" }; // only the shell knows
  if (/[\\/]/.test(program)) {
    const whole = program.startsWith("~/") ? join(homedir(), program.slice(2)) : program;
    return !isAbsolute(whole) || isProgram(whole) ? { kind: "there" } : { kind: "missing", program };
  }
  // The active environment is what the user works with: it comes before the PATH.
  const folder = active.find((folder) => has(folder, program));
  if (folder) return { kind: "in", folder };
  if (path.split(delimiter).some((folder) => has(folder, program))) return { kind: "there" };
  const other = usual.find((folder) => has(folder, program));
  return other ? { kind: "in", folder: other } : { kind: "missing", program };
}

/** The folder with the programs of a Python environment. */
export function programsOf(environment: string): string {
  return join(environment, process.platform === "win32" ? "Scripts" : "bin");
}

/** Where pip, pipx and uv put programs for one user. */
export function usualFolders(): string[] {
  return [join(homedir(), ".local", "bin")];
}

export function has(folder: string, program: string): boolean {
  if (!folder || !program) return false;
  const endings = process.platform === "win32" ? [".exe", ".cmd", ".bat", ""] : [""];
  return endings.some((ending) => isProgram(join(folder, program + ending)));
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false; // there is none
  }
}
