// Start Aura: type the command into a visible terminal, in a trusted workspace, for a server on this machine.

import * as vscode from "vscode";
import { commandLine, folderAsks, isLocal, trustsByItself } from "./command.js";
import type { Server } from "./server.js";

/** Milliseconds for which a server that was just started is polled frequently. */
const PATIENCE = 60_000;
/**
 * Variables that make Aura trust a folder. A workspace's settings may set variables in its terminals; these keep their
 * outside values.
 */
const TRUSTING = ["AURA_CONFIG", "AURA_TRUST"];

export async function startServer(server: Server): Promise<void> {
  if (!vscode.workspace.isTrusted) {
    const trust = "Manage Workspace Trust";
    const picked = await vscode.window.showWarningMessage("Aura does not start a server in a workspace that you do not trust.", trust);
    if (picked === trust) await vscode.commands.executeCommand("workbench.trust.manage");
    return;
  }
  if ((await server.lookAgain()).kind === "online") {
    void vscode.window.showInformationMessage(`Aura is already running at ${server.origin}.`);
    return;
  }
  const url = new URL(server.origin);
  if (!isLocal(url)) {
    void vscode.window.showWarningMessage(`${url.origin} is another machine: start Aura there.`);
    return;
  }
  const command = vscode.workspace.getConfiguration("aura.server").get("command", "aura serve");
  const blind = trustsByItself(command);
  if (blind) {
    const open = "Open Settings";
    const message = `Aura is not started: '${blind}' in aura.server.command would trust any folder that is open. Remove it, or use absolute paths.`;
    if ((await vscode.window.showWarningMessage(message, open)) === open) await vscode.commands.executeCommand("aura.openSettings");
    return;
  }
  const folder = vscode.workspace.workspaceFolders?.find(({ uri }) => uri.scheme === "file")?.uri;
  const asks = folder ? folderAsks(folder.fsPath) : [];
  const terminal = vscode.window.createTerminal({
    name: "Aura",
    iconPath: new vscode.ThemeIcon("broadcast"),
    env: Object.fromEntries(TRUSTING.map((name) => [name, process.env[name] ?? null])),
    ...(folder ? { cwd: folder } : {}),
  });
  terminal.show(asks.length === 0); // otherwise Aura asks there, and the user answers there
  terminal.sendText(commandLine(command, url));
  if (folder && asks.length) void say(folder, asks);
  const end = Date.now() + PATIENCE;
  while (Date.now() < end && terminal.exitStatus === undefined) {
    await new Promise((resolve) => setTimeout(resolve, 500));
    if ((await server.look()).kind === "online") return;
  }
}

/**
 * Report which files the folder has; the question of trust is asked and answered in the terminal, and only Aura records the
 * answer.
 */
async function say(folder: vscode.Uri, asks: string[]): Promise<void> {
  const what = asks.map((name) => (name === "agents" ? "an agents folder" : `an ${name}`)).join(" and ");
  const message = `${folder.fsPath} has ${what}. Aura asks in the terminal whether you trust this folder, unless you have said so before.`;
  const open = "Open aura.toml";
  const picked = await vscode.window.showInformationMessage(message, ...(asks.includes("aura.toml") ? [open] : []));
  if (picked) await vscode.window.showTextDocument(vscode.Uri.joinPath(folder, "aura.toml"));
}
