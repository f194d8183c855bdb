// The entry point of the extension: create its parts, and dispose of them so that no answer keeps running.

import * as vscode from "vscode";
import { chosenFile, file, selection } from "./attach.js";
import { AgentsTree } from "./agentsTree.js";
import { Proposals } from "./code/proposals.js";
import { registerModels } from "./native/models.js";
import { registerParticipant } from "./native/participant.js";
import { ChatPanelProvider } from "./providers/chatPanelProvider.js";
import { watchEditors } from "./providers/editorActions.js";
import { WorkflowPanelProvider } from "./providers/workflowPanelProvider.js";
import { Server, type Agent, type ServerState } from "./server.js";
import { openSettings } from "./settings.js";
import { Starter } from "./startServer.js";
import { StatusBar } from "./statusBar.js";
import { openChats } from "./storage/openChats.js";
import { Tokens } from "./tokens.js";
import { registerHistory } from "./workflow/history.js";
import { registerLanguage } from "./workflow/language.js";
import { WorkflowsTree } from "./workflowsTree.js";

/** Milliseconds between two checks of the server: while it is unreachable, and otherwise. */
const MISSED = 3000;
const OTHERWISE = 30_000;

let stop: (() => void) | undefined;

export function activate(context: vscode.ExtensionContext): void {
  const log = vscode.window.createOutputChannel("Aura", { log: true });
  const tokens = new Tokens(context.secrets);
  const server = new Server({
    url: () => vscode.workspace.getConfiguration("aura.server").get("url", ""),
    token: (origin) => tokens.get(origin),
    log: (line) => log.info(line),
    strict: () => vscode.workspace.getConfiguration("http").get("proxyStrictSSL", true),
  });
  const { workspaceFile, workspaceFolders } = vscode.workspace;
  const workspace = (workspaceFile ?? workspaceFolders?.[0]?.uri)?.toString() ?? "";
  const storage = vscode.Uri.joinPath(context.globalStorageUri, "chats").fsPath;
  const chats = openChats(storage, workspace, (line) => log.warn(line));
  const proposals = new Proposals();
  const chat = new ChatPanelProvider(context, server, chats, proposals, (line) => log.warn(line));
  const tree = new WorkflowsTree();
  const workflows = new WorkflowPanelProvider(context, server, proposals, () => tree.refresh());
  // vsce writes the README under this name.
  const starter = new Starter(server, vscode.Uri.joinPath(context.extensionUri, "readme.md"));
  const status = new StatusBar(() => server.address);
  stop = () => {
    chat.stop("the window was closed");
    workflows.stop("the window was closed");
    chats.dispose();
  };

  const busy = () => {
    status.busy = chat.running + workflows.running;
    void vscode.commands.executeCommand("setContext", "aura.busy", chat.running + workflows.running > 0);
  };
  chat.onBusy(busy);
  workflows.onBusy(busy);
  const seen = (state: ServerState) => {
    status.state = state;
    const code = state.kind === "offline" ? state.failure.code : "";
    const locked = code === "unauthorized" || code === "wrong_token";
    void vscode.commands.executeCommand("setContext", "aura.offline", code !== "" && !locked);
    void vscode.commands.executeCommand("setContext", "aura.unauthorized", code === "unauthorized");
    void vscode.commands.executeCommand("setContext", "aura.wrongToken", code === "wrong_token");
  };
  let timer: ReturnType<typeof setTimeout>;
  const watch = async () => {
    clearTimeout(timer);
    const { kind } = await server.look();
    clearTimeout(timer);
    timer = setTimeout(watch, kind === "offline" && (chat.visible || workflows.visible) ? MISSED : OTHERWISE);
  };
  const setToken = async () => {
    if (await tokens.ask(server.origin)) await server.lookAgain();
  };
  const commands: Record<string, (...args: never[]) => unknown> = {
    "aura.newChat": () => chat.newChat(),
    "aura.openChatInEditor": () => chat.openInEditor(),
    "aura.stop": () => {
      chat.stop();
      workflows.stop();
    },
    "aura.chatWith": (agent: Agent) => chat.newChat(agent.id),
    "aura.askAboutSelection": async () => {
      await chat.attach(selection(vscode.window.activeTextEditor));
    },
    "aura.addFile": async (uri?: vscode.Uri) => {
      const chosen = await chosenFile(uri instanceof vscode.Uri ? uri : undefined);
      if (chosen) await chat.attach(await file(chosen));
    },
    "aura.acceptChange": (uri?: vscode.Uri) => proposals.accept(uri instanceof vscode.Uri ? uri : undefined),
    "aura.rejectChange": (uri?: vscode.Uri) => proposals.reject(uri instanceof vscode.Uri ? uri : undefined),
    "aura.refreshAgents": () => server.lookAgain(),
    "aura.startServer": () => starter.start(),
    "aura.setToken": setToken,
    "aura.forgetToken": async () => {
      await tokens.forget(server.origin);
      await server.lookAgain();
    },
    "aura.openWorkflow": (uri?: vscode.Uri) => workflows.open(uri instanceof vscode.Uri ? uri : undefined),
    "aura.newWorkflow": () => workflows.create(),
    "aura.openSettings": () => openSettings(),
    "aura.showLog": () => log.show(),
    "aura.showMenu": () => showMenu(server.state),
  };
  for (const [name, run] of Object.entries(commands)) {
    context.subscriptions.push(vscode.commands.registerCommand(name, run));
  }
  context.subscriptions.push(
    log,
    status,
    starter,
    proposals,
    registerHistory(),
    registerParticipant(server, vscode.Uri.joinPath(context.extensionUri, "media", "icon.png")),
    registerModels(server),
    registerLanguage(server),
    watchEditors(() => chat.editorChanged()),
    server.onChange(seen),
    server.onChange(() => void watch()),
    vscode.window.registerTreeDataProvider("aura.agents", new AgentsTree(server)),
    vscode.window.registerTreeDataProvider("aura.workflows", tree),
    tree,
    vscode.window.onDidChangeWindowState(({ focused }) => focused && void watch()),
    vscode.workspace.onDidChangeConfiguration((event) => {
      if (["aura.server.url", "http"].some((section) => event.affectsConfiguration(section))) void server.lookAgain().then(watch);
    }),
    context.secrets.onDidChange(() => void server.lookAgain()),
    { dispose: () => clearTimeout(timer) },
  );
  void watch();
}

/** Close every connection now: the window or the extension is being closed. */
export function deactivate(): void {
  stop?.();
}

async function showMenu(state: ServerState): Promise<void> {
  const online = state.kind === "online";
  const items = [
    { label: "$(comment) Open Chat", command: "aura.chat.focus" },
    ...(online ? [] : [{ label: "$(play) Start Aura", command: "aura.startServer" }]),
    { label: "$(key) Set Token", command: "aura.setToken" },
    { label: "$(gear) Settings", command: "aura.openSettings" },
    { label: "$(output) Show Log", command: "aura.showLog" },
  ];
  const placeHolder = state.kind === "offline" ? state.failure.message : "Aura";
  const picked = await vscode.window.showQuickPick(items, { placeHolder });
  if (picked) await vscode.commands.executeCommand(picked.command);
}
