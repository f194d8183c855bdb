// Start Aura: type the command into a terminal that one sees, in a workspace that one trusts, for a server on this machine.

import * as vscode from "vscode";
import { commandLine, isLocal } from "./command.js";
import type { Server } from "./server.js";

/** Milliseconds for which a server that was started is looked for often. */
const PATIENCE = 60_000;

export async function startServer(server: Server): Promise<void> {
  if (!vscode.workspace.isTrusted) {
    const trust = "Manage Workspace Trust";
    const picked = await vscode.window.showWarningMessage("Aura starts nothing in a workspace that you do not trust.", trust);
    if (picked === trust) await vscode.commands.executeCommand("workbench.trust.manage");
    return;
  }
  if ((await server.lookAgain()).kind === "online") {
    void vscode.window.showInformationMessage(`Aura answers at ${server.origin} already.`);
    return;
  }
  const url = new URL(server.origin);
  if (!isLocal(url)) {
    void vscode.window.showWarningMessage(`${url.origin} is another machine: start Aura there.`);
    return;
  }
  const command = vscode.workspace.getConfiguration("aura.server").get("command", "aura serve");
  const terminal = vscode.window.createTerminal({ name: "Aura", iconPath: new vscode.ThemeIcon("broadcast") });
  terminal.show(true);
  terminal.sendText(commandLine(command, url));
  const end = Date.now() + PATIENCE;
  while (Date.now() < end && terminal.exitStatus === undefined) {
    await new Promise((resolve) => setTimeout(resolve, 500));
    if ((await server.look()).kind === "online") return;
  }
}
