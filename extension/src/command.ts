// The command line that starts a server at the address of the settings, and what it must not say by itself.

import { lstatSync } from "node:fs";
import { join } from "node:path";

/** Aura's own port. */
const PORT = "5300";
/** What a folder may bring along for Aura. */
const ASKS = ["aura.toml", "agents"];

export function isLocal({ hostname }: URL): boolean {
  return hostname === "localhost" || hostname === "[::1]" || /^127\.\d+\.\d+\.\d+$/.test(hostname);
}

/** The command, with the port of the address when that is not Aura's own and the command names none. */
export function commandLine(command: string, url: URL): string {
  const port = url.port || (url.protocol === "https:" ? "443" : "80");
  return port === PORT || /(^|\s)--port\b/.test(command) ? command : `${command} --port ${port}`;
}

/** Which of a folder's files Aura would read: it asks in its terminal before it does what they say. */
export function folderAsks(folder: string): string[] {
  return ASKS.filter((name) => lstatSync(join(folder, name), { throwIfNoEntry: false }));
}

/**
 * Why a command is not typed, or undefined. What `--config` and `--agents` name is trusted without a question, and `aura trust`
 * answers it: in whatever folder is open that is for its person to do, so the setting may only name files by their whole path.
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
