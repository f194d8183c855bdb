// Open the settings where they can be changed: in a remote window the machine's are on a tab of their own.

import * as vscode from "vscode";

const OURS = "@ext:aura.aura";

export async function openSettings(): Promise<void> {
  const query = { query: OURS };
  // The server's address and command belong to the machine: the user's tab of a remote window lacks them.
  if (vscode.env.remoteName) await vscode.commands.executeCommand("workbench.action.openRemoteSettings", query);
  else await vscode.commands.executeCommand("workbench.action.openSettings", OURS);
}
