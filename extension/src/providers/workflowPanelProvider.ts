// The workflow panels: one editor tab for each file of .aura/workflows; closing one stops its run, hiding it does not.

import { basename } from "node:path";
import * as vscode from "vscode";
import { firstAgent } from "../../../aura_core/web/agents.js";
import type { Proposals } from "../code/proposals.js";
import type { Server } from "../server.js";
import { findWorkflows } from "../workflowsTree.js";
import { options } from "./html.js";
import { WorkflowPanel } from "./workflowPanel.js";

const PANEL = "aura.workflowPanel";

/** An example for an agent that exists. */
export function sample(agent: string): string {
  // A name that YAML could take for something else is quoted.
  const id = /^[A-Za-z][\w-]*$/.test(agent) && !/^(?:true|false|null|yes|no|on|off|y|n)$/i.test(agent) ? agent : JSON.stringify(agent);
  return `name: Draft and review
inputs:
  - name: topic
    prompt: What is the paragraph about?
    default: what this workspace could be for
steps:
  - name: Draft
    agent: ${id}
    prompt: Write a paragraph about {{topic}}.
  - name: Review
    agent: ${id}
    prompt: Say in three points what is weak in the text above, and how to improve it.
`;
}

export class WorkflowPanelProvider implements vscode.WebviewPanelSerializer {
  #context;
  #server;
  #proposals;
  #created;
  /** The open panels, by file. */
  #panels = new Map<string, WorkflowPanel>();
  #busy = new vscode.EventEmitter<void>();
  readonly onBusy = this.#busy.event;

  /** `created` is called when a workflow was created. */
  constructor(context: vscode.ExtensionContext, server: Server, proposals: Proposals, created: () => void) {
    this.#context = context;
    this.#proposals = proposals;
    this.#created = created;
    this.#server = server;
    context.subscriptions.push(
      vscode.window.registerWebviewPanelSerializer(PANEL, this),
      vscode.workspace.onDidGrantWorkspaceTrust(() => this.#panels.forEach((panel) => panel.refresh())),
    );
  }

  /** How many workflows are running. */
  get running(): number {
    return [...this.#panels.values()].filter(({ running }) => running).length;
  }

  get visible(): boolean {
    return [...this.#panels.values()].some(({ visible }) => visible);
  }

  /** Show a workflow: the given one, the one in the editor, or one chosen from a list. */
  async open(chosen?: vscode.Uri): Promise<void> {
    const uri = chosen ?? (await this.#pick());
    if (!uri) return;
    const known = this.#panels.get(uri.toString());
    if (known) {
      known.reveal();
      return;
    }
    const title = basename(uri.path);
    this.#adopt(vscode.window.createWebviewPanel(PANEL, title, vscode.ViewColumn.Active, options(this.#context.extensionUri)), uri);
  }

  async deserializeWebviewPanel(panel: vscode.WebviewPanel, state: { uri?: string } | undefined): Promise<void> {
    if (state?.uri) this.#adopt(panel, vscode.Uri.parse(state.uri));
    else panel.dispose();
  }

  /** Create an example workflow, and show it. */
  async create(): Promise<void> {
    const folder = vscode.workspace.workspaceFolders?.[0];
    if (!folder) {
      void vscode.window.showInformationMessage("Open a folder first: workflows are files in a folder.");
      return;
    }
    const name = await vscode.window.showInputBox({
      title: "New Workflow",
      prompt: "Its name; the file is .aura/workflows/NAME.yaml",
      validateInput: (text) => (/^[A-Za-z0-9][\w.-]*$/.test(text) ? undefined : "Letters, digits, and . _ - inside."),
    });
    if (!name) return;
    const uri = vscode.Uri.joinPath(folder.uri, ".aura", "workflows", `${name}.yaml`);
    const exists = await Promise.resolve(vscode.workspace.fs.stat(uri)).then(() => true, () => false); // prettier-ignore
    if (!exists) {
      const state = await this.#server.look();
      const agent = state.kind === "online" ? firstAgent(state.agents) : "";
      await vscode.workspace.fs.writeFile(uri, new TextEncoder().encode(sample(agent || "assistant")));
      this.#created();
    }
    await vscode.window.showTextDocument(uri);
  }

  stop(reason?: string): void {
    for (const panel of this.#panels.values()) panel.stop(reason);
  }

  async #pick(): Promise<vscode.Uri | undefined> {
    const found = await findWorkflows();
    const edited = vscode.window.activeTextEditor?.document.uri.toString();
    const open = found.find((uri) => uri.toString() === edited);
    if (open) return open;
    if (found.length === 0) {
      const create = "New Workflow";
      const picked = await vscode.window.showInformationMessage("This workspace has no .aura/workflows/*.yaml.", create);
      if (picked) await this.create();
      return undefined;
    }
    const items = found.map((uri) => ({ label: basename(uri.path), description: vscode.workspace.asRelativePath(uri), uri }));
    return (await vscode.window.showQuickPick(items, { placeHolder: "Which workflow?" }))?.uri;
  }

  #adopt(panel: vscode.WebviewPanel, uri: vscode.Uri): void {
    const key = uri.toString();
    const shown = new WorkflowPanel(panel, uri, this.#context.extensionUri, this.#server, this.#proposals, () => this.#busy.fire());
    this.#panels.set(key, shown);
    panel.onDidDispose(() => {
      this.#panels.delete(key);
      shown.close();
    });
  }
}
