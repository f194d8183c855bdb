// Which machine the extension runs on: in a remote window it is not the one with the window.

import * as vscode from "vscode";

/** VS Code's names for kinds of remote windows, in words. */
const KINDS: Record<string, string> = {
  "ssh-remote": "the SSH host",
  wsl: "the WSL distribution",
  "dev-container": "the container",
  "attached-container": "the container",
  codespaces: "the codespace",
  tunnel: "the machine at the tunnel's end",
};

/** The machine from which the server is reached, in words. */
export function host(): string {
  const { remoteName } = vscode.env;
  return remoteName ? (KINDS[remoteName] ?? "the remote machine") : "this machine";
}

/** What the server's address means in a remote window, where the extension is not on the user's machine; else "". */
export function whose(url: string): string {
  return vscode.env.remoteName ? `${url} on ${host()}, not on this one` : "";
}
