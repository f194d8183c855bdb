// One workflow's tab: its file, its run, and the results on disk.

import { basename } from "node:path";
import * as vscode from "vscode";
import type { TurnEvent } from "../../../aura_core/web/host-types.js";
import { Batch } from "../batch.js";
import { Heartbeat } from "../heartbeat.js";
import type { Server } from "../server.js";
import type { Proposals } from "../code/proposals.js";
import type { FromWorkflow, ToWorkflow } from "../webview/messages.js";
import { agentProblems } from "../workflow/agents.js";
import { readWorkflow, type Problem, type Read, type Workflow } from "../workflow/file.js";
import { showHistory } from "../workflow/history.js";
import type { Values } from "../workflow/inputs.js";
import { WorkflowRun, type Answer } from "../workflow/run.js";
import { RunStore } from "../workflow/store.js";
import { html, options } from "./html.js";
import { runEditorAction } from "./editorActions.js";

export class WorkflowPanel {
  #panel;
  #uri;
  #server;
  #busy;
  #store;
  #proposals;
  #read: Read = { problems: [] };
  #answers: (Answer | undefined)[] = [];
  #run: WorkflowRun | undefined;
  /** The inputs that the displayed results were made with. */
  #inputs: Values = {};
  /** Whether the user is being asked for the inputs of a run. */
  #asking = false;
  #trouble = "";
  #loaded = false;
  #watching: vscode.Disposable[] = [];
  #batch = new Batch<{ step: number; event: TurnEvent }>((events) => this.#post({ type: "events", events }));
  #heartbeat = new Heartbeat(
    () => this.#ping(),
    () => this.stop("the window no longer responds"),
  );

  constructor(panel: vscode.WebviewPanel, uri: vscode.Uri, extension: vscode.Uri, server: Server, proposals: Proposals, busy: () => void) {
    this.#panel = panel;
    this.#proposals = proposals;
    this.#uri = uri;
    this.#server = server;
    this.#busy = busy;
    const folder = vscode.workspace.getWorkspaceFolder(uri);
    this.#store = folder?.uri.scheme === "file" ? new RunStore(folder.uri.fsPath, stem(uri)) : undefined;
    const pattern = new vscode.RelativePattern(vscode.Uri.joinPath(uri, ".."), basename(uri.path));
    const watcher = vscode.workspace.createFileSystemWatcher(pattern);
    for (const change of [watcher.onDidChange, watcher.onDidCreate, watcher.onDidDelete]) change(() => this.refresh());
    // Some file systems do not report changes; saving in this window is detected anyway.
    const saved = vscode.workspace.onDidSaveTextDocument((document) => {
      if (document.uri.toString() === uri.toString()) void this.refresh();
    });
    this.#watching.push(watcher, saved, server.onChange(() => this.#show()));
    panel.iconPath = vscode.Uri.joinPath(extension, "media", "icon.png");
    panel.onDidChangeViewState(() => (this.#loaded &&= panel.visible));
    panel.webview.options = options(extension);
    panel.webview.onDidReceiveMessage((message: FromWorkflow) => this.#receive(message));
    panel.webview.html = html(panel.webview, extension, "workflow", `Aura: ${stem(uri)}`);
  }

  get running(): boolean {
    return this.#run !== undefined;
  }

  get visible(): boolean {
    return this.#panel.visible;
  }

  reveal(): void {
    this.#panel.reveal();
  }

  stop(reason?: string): void {
    this.#run?.stop(reason);
  }

  close(): void {
    this.#loaded = false;
    for (const watching of this.#watching) watching.dispose();
    this.stop("the panel was closed");
    this.#heartbeat.stop();
  }

  /** Read the file again; a current run keeps the steps that it started with. */
  async refresh(): Promise<void> {
    const read = await this.#readFile();
    if (!this.#run) {
      this.#read = read;
      // What could not be written is only here.
      const kept = this.#trouble ? undefined : this.#store?.read(read.workflow?.steps ?? []);
      if (kept) ({ answers: this.#answers, inputs: this.#inputs } = kept);
    }
    this.#show();
  }

  async #readFile(): Promise<Read> {
    try {
      return readWorkflow(new TextDecoder().decode(await vscode.workspace.fs.readFile(this.#uri)), stem(this.#uri));
    } catch (error) {
      const gone = error instanceof vscode.FileSystemError && error.code === "FileNotFound";
      const message = gone ? "The file was deleted." : `The file cannot be read: ${error instanceof Error ? error.message : String(error)}`;
      return { problems: [{ line: 1, message } satisfies Problem] };
    }
  }

  async #start(from: number, to: number | undefined): Promise<void> {
    if (this.#run || this.#asking || !vscode.workspace.isTrusted) return;
    await this.refresh();
    const { workflow } = this.#read;
    if (!workflow || !(await this.#agentsExist(workflow, from, to))) return;
    this.#asking = true;
    const inputs = await this.#ask(workflow, from).finally(() => (this.#asking = false));
    if (!inputs || this.#run) return;
    const audience = {
      began: (step: number, answer: Answer) => {
        this.#batch.flush();
        this.#post({ type: "begin", step, answer });
      },
      received: (step: number, event: TurnEvent) => this.#loaded && this.#batch.add({ step, event }),
      ended: () => this.#write(workflow.name, run),
    };
    const run = new WorkflowRun(workflow.steps, this.#answers, (...turn) => this.#server.turn(...turn), audience, inputs);
    this.#run = run;
    this.#inputs = inputs;
    this.#answers = run.answers;
    this.#trouble = "";
    this.#heartbeat.start();
    this.#busy();
    try {
      const going = run.run(from, to);
      this.#show();
      await going;
    } catch (error) {
      this.#trouble = error instanceof Error ? error.message : String(error);
    }
    this.#run = undefined;
    this.#heartbeat.stop();
    this.#busy();
    this.#batch.flush();
    this.#show();
    await this.refresh(); // the file may have changed in the meantime
  }

  /** Whether the server has the agents of these steps; if not, it is shown. Without a server the run says so itself. */
  async #agentsExist({ steps }: Workflow, from: number, to = steps.length - 1): Promise<boolean> {
    const state = await this.#server.lookAgain();
    this.#show();
    return state.kind !== "online" || agentProblems(steps.slice(from, to + 1), state.agents).length === 0;
  }

  /** The values of the inputs; those of earlier results if a run continues from them. Undefined: the user has cancelled. */
  async #ask({ inputs, name: title }: Workflow, from: number): Promise<Values | undefined> {
    const values: Record<string, string> = {};
    for (const { name, prompt, default: offered } of inputs) {
      const before = Object.hasOwn(this.#inputs, name) ? this.#inputs[name] : undefined;
      const value = from > 0 && before !== undefined ? before : await askFor(title, prompt, before ?? offered);
      if (value === undefined) return undefined;
      values[name] = value;
    }
    return values;
  }

  #write(name: string, run: WorkflowRun): void {
    try {
      this.#store?.write(name, run.started, run.steps, run.answers, run.inputs);
    } catch (error) {
      this.#trouble = `The results could not be written: ${error instanceof Error ? error.message : String(error)}`;
    }
  }

  #receive(message: FromWorkflow): void {
    this.#heartbeat.replied();
    switch (message.type) {
      case "load":
        this.#loaded = true;
        void this.refresh();
        void this.#server.look();
        break;
      case "run":
        void this.#start(message.from, message.to);
        break;
      case "stop":
        this.stop();
        break;
      case "runs":
        if (this.#store) void showHistory(this.#store, this.#panel.title);
        break;
      case "open":
        void this.#open(message.line);
        break;
      default:
        void runEditorAction(message, this.#panel.webview, this.#proposals);
    }
  }

  async #open(line = 1): Promise<void> {
    const start = new vscode.Position(line - 1, 0);
    await vscode.window.showTextDocument(this.#uri, { selection: new vscode.Range(start, start), viewColumn: vscode.ViewColumn.Beside });
  }

  #ping(): void {
    if (this.#loaded && this.#panel.visible) this.#post({ type: "ping" });
    // While hidden, the panel has no page to ping, but the window can be pinged.
    else void vscode.commands.executeCommand("setContext", "aura.busy", true).then(() => this.#heartbeat.replied());
  }

  #post(message: ToWorkflow): void {
    if (this.#loaded) void this.#panel.webview.postMessage(message);
  }

  #show(): void {
    this.#batch.clear();
    const { workflow, problems } = this.#read;
    const steps = [...(this.#run?.steps ?? workflow?.steps ?? [])];
    const title = workflow?.name ?? stem(this.#uri);
    const { state } = this.#server;
    this.#panel.title = title;
    this.#post({
      type: "workflow",
      shown: {
        title,
        path: vscode.workspace.asRelativePath(this.#uri),
        uri: this.#uri.toString(),
        problems: [...problems],
        agents: state.kind === "online" ? agentProblems(workflow?.steps ?? [], state.agents) : [],
        inputs: { ...this.#inputs },
        steps,
        answers: steps.map((_, step) => this.#answers[step] ?? null),
        running: this.running,
        trusted: vscode.workspace.isTrusted,
        trouble: this.#trouble,
      },
    });
  }
}

function askFor(title: string, prompt: string, value: string): Thenable<string | undefined> {
  return vscode.window.showInputBox({ title, prompt, value, ignoreFocusOut: true });
}

function stem(uri: vscode.Uri): string {
  return basename(uri.path).replace(/\.ya?ml$/, "");
}
