// Start Aura: type the command into the one visible terminal, in a trusted workspace, for a server on this machine.

import { delimiter, join } from "node:path";
import * as vscode from "vscode";
import { commandLine, folderAsks, isLocal, trustsByItself } from "./command.js";
import { findProgram, has, programOf, programsOf, usualFolders } from "./findAura.js";
import { activeEnvironments } from "./python.js";
import { host } from "./remote.js";
import type { Server } from "./server.js";

/** Milliseconds for which a server that was just started is polled frequently. */
const PATIENCE = 60_000;
/**
 * Variables that make Aura trust a folder. A workspace's settings may set variables in its terminals; these keep their
 * outside values.
 */
const TRUSTING = ["AURA_CONFIG", "AURA_TRUST"];

export class Starter implements vscode.Disposable {
  #server;
  #guide;
  #terminal: vscode.Terminal | undefined;
  /** The folder that was added to the terminal's PATH. */
  #added = "";
  /** When the command was typed last, and whether it is known to have ended. */
  #typed = 0;
  #ended = false;
  #waiting = false;
  #watching: vscode.Disposable[];

  /** `guide` is the page that says how to install Aura. */
  constructor(server: Server, guide: vscode.Uri) {
    this.#server = server;
    this.#guide = guide;
    this.#watching = [
      vscode.window.onDidCloseTerminal((terminal) => {
        if (terminal === this.#terminal) this.#terminal = undefined;
      }),
      vscode.window.onDidEndTerminalShellExecution(({ terminal, exitCode }) => {
        if (terminal === this.#terminal) this.#commandEnded(exitCode);
      }),
    ];
  }

  async start(): Promise<void> {
    if (!vscode.workspace.isTrusted) {
      const trust = "Manage Workspace Trust";
      const picked = await vscode.window.showWarningMessage("Aura does not start a server in a workspace that you do not trust.", trust);
      if (picked === trust) await vscode.commands.executeCommand("workbench.trust.manage");
      return;
    }
    if ((await this.#server.lookAgain()).kind === "online") {
      void vscode.window.showInformationMessage(`Aura is already running at ${this.#server.origin}.`);
      return;
    }
    const url = new URL(this.#server.origin);
    if (!isLocal(url)) {
      void vscode.window.showWarningMessage(`${url.origin} is not on ${host()}: start Aura there.`);
      return;
    }
    if (this.#isRunning) {
      this.#terminal?.show();
      return;
    }
    const command = vscode.workspace.getConfiguration("aura.server").get("command", "aura serve");
    const blind = trustsByItself(command);
    if (blind) {
      const message = `Aura is not started: '${blind}' in aura.server.command would trust any folder that is open. Remove it, or use absolute paths.`;
      await this.#offer(message, []);
      return;
    }
    const folder = vscode.workspace.workspaceFolders?.find(({ uri }) => uri.scheme === "file")?.uri;
    const added = await this.#find(command, folder);
    if (added === undefined) return;
    const asks = folder ? folderAsks(folder.fsPath) : [];
    this.#type(commandLine(command, url), folder, added, asks.length > 0);
    if (folder && asks.length) void say(folder, asks);
    await this.#wait();
  }

  dispose(): void {
    for (const watching of this.#watching) watching.dispose();
  }

  /** Whether the command that was typed still runs, or may: without the shell's integration only time can tell. */
  get #isRunning(): boolean {
    if (!this.#terminal || this.#terminal.exitStatus || this.#ended) return false;
    return this.#terminal.shellIntegration !== undefined || Date.now() - this.#typed < PATIENCE;
  }

  /** The folder to add to the terminal's PATH, "" for none, or undefined if the program is not found. */
  async #find(command: string, folder: vscode.Uri | undefined): Promise<string | undefined> {
    const active = await activeEnvironments(folder);
    const found = findProgram(command, { active, path: process.env["PATH"] ?? "", usual: usualFolders() });
    if (found.kind === "there") return "";
    if (found.kind === "in") return found.folder;
    // What a folder brings along is started only if the user says so.
    const own = folder ? programsOf(join(folder.fsPath, ".venv")) : "";
    if (has(own, found.program)) {
      const use = "Use It";
      const message = `'${found.program}' is installed only in this folder, in ${own}. Use it?`;
      return (await vscode.window.showInformationMessage(message, use)) === use ? own : undefined;
    }
    const where = `neither in the active Python environment nor on the PATH of ${host()}`;
    const install = found.program === "aura" ? " Install it with pip, or set its path in aura.server.command." : "";
    const anyway = await this.#offer(`The program '${found.program}' is ${where}.${install}`, ["How to Install", "Start Anyway"]);
    return anyway ? "" : undefined;
  }

  /** Say why Aura is not started. Returns whether it is to be started nevertheless. */
  async #offer(message: string, buttons: string[]): Promise<boolean> {
    const picked = await vscode.window.showWarningMessage(message, ...buttons, "Open Settings");
    if (picked === "Open Settings") await vscode.commands.executeCommand("aura.openSettings");
    if (picked === "How to Install") await vscode.commands.executeCommand("markdown.showPreview", this.#guide);
    return picked === "Start Anyway";
  }

  #type(line: string, folder: vscode.Uri | undefined, added: string, asks: boolean): void {
    // A terminal whose command may still run, or that has another PATH, makes room for its successor.
    if (this.#terminal && (!this.#ended || added !== this.#added)) {
      this.#terminal.dispose();
      this.#terminal = undefined;
    }
    const env: Record<string, string | null> = Object.fromEntries(TRUSTING.map((name) => [name, process.env[name] ?? null]));
    if (added) env["PATH"] = [added, process.env["PATH"]].filter(Boolean).join(delimiter);
    this.#terminal ??= vscode.window.createTerminal({
      name: "Aura",
      iconPath: new vscode.ThemeIcon("broadcast"),
      env,
      ...(folder ? { cwd: folder } : {}),
    });
    this.#added = added;
    this.#typed = Date.now();
    this.#ended = false;
    this.#terminal.show(!asks); // otherwise Aura asks there, and the user answers there
    this.#terminal.sendText(line);
  }

  #commandEnded(code: number | undefined): void {
    this.#ended = true;
    if (!code || this.#server.state.kind === "online" || Date.now() - this.#typed > PATIENCE) return;
    const what = `'${programOf(vscode.workspace.getConfiguration("aura.server").get("command", ""))}'`;
    void vscode.window.showWarningMessage(`${what} ended with code ${code}; the terminal says why.`);
    this.#terminal?.show();
  }

  async #wait(): Promise<void> {
    if (this.#waiting) return;
    this.#waiting = true;
    while (Date.now() < this.#typed + PATIENCE && this.#terminal && this.#terminal.exitStatus === undefined) {
      await new Promise((resolve) => setTimeout(resolve, 500));
      if ((await this.#server.look()).kind === "online") break;
    }
    this.#waiting = false;
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
