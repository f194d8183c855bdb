// The command line that starts a server at the configured address, and what it must not contain.

import { lstatSync } from "node:fs";
import { join } from "node:path";

/** Aura's own port. */
const PORT = "5300";
/** The files of a folder that Aura reads. */
const ASKS = ["aura.toml", "agents"];

export function isLocal({ hostname }: URL): boolean {
  return hostname === "localhost" || hostname === "[::1]" || /^127\.\d+\.\d+\.\d+$/.test(hostname);
}

/** The command, with the port of the address when that is not Aura's own and the command names none. */
export function commandLine(command: string, url: URL): string {
  const port = url.port || (url.protocol === "https:" ? "443" : "80");
  return port === PORT || /(^|\s)--port\b/.test(command) ? command : `${command} --port ${port}`;
}

/** The files of a folder that Aura would read: it asks in its terminal before it applies them. */
export function folderAsks(folder: string): string[] {
  return ASKS.filter((name) => lstatSync(join(folder, name), { throwIfNoEntry: false }));
}

/**
 * The reason why a command is not typed, or undefined. Files named by `--config` and `--agents` are trusted without a
 * question, and `aura trust` answers it. Only the user may decide that for the folder that happens to be open, so the
 * setting must use absolute paths.
 */
export function trustsByItself(command: string): string | undefined {
  const words = command.split(/\s/).map((word) => word.replaceAll('"', "").replaceAll("'", ""));
  for (const [index, word] of words.entries()) {
    if (word === "trust") return "aura trust";
    const option = ["--config", "--agents", "AURA_CONFIG", "AURA_TRUST"].find((name) => word === name || word.startsWith(`${name}=`));
    if (!option) continue;
    const path = word === option ? (words[index + 1] ?? "") : word.slice(option.length + 1);
    if (!isWhole(path)) return `${option} ${path}`.trim();
  }
  return undefined;
}

function isWhole(path: string): boolean {
  return ["/", "~/", "$HOME/", "\\\\"].some((start) => path.startsWith(start)) || /^[A-Za-z]:[\\/]/.test(path);
}
