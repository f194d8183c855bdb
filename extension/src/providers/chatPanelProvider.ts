// The chat in the side bar and, optionally, in an editor tab; closing it stops its running answer.

import * as vscode from "vscode";
import { newChat } from "../../../aura_core/web/chat.js";
import type { Change, HostEvent, Mentioned } from "../../../aura_core/web/host-types.js";
import type { Proposals } from "../code/proposals.js";
import { whose } from "../remote.js";
import type { Server } from "../server.js";
import type { PlaceName } from "../storage/chatFiles.js";
import type { ChatStore, Trouble } from "../storage/chatStore.js";
import { Turns, type Place } from "../turns.js";
import { options } from "./html.js";
import { ChatSurface } from "./chatSurface.js";
import { lastEditor } from "./editorActions.js";

const VIEW = "aura.chat";
const PANEL = "aura.chatPanel";
/** The title of a tab whose chat has no title yet, and the maximum length of a tab's title. */
const UNTITLED = "New chat";
const TITLE = 60;

export class ChatPanelProvider implements vscode.WebviewViewProvider, vscode.WebviewPanelSerializer {
  #context;
  #server;
  #chats;
  #log;
  #proposals;
  #turns;
  #view;
  /** The editor tab, if there is one. */
  #tab: { panel: vscode.WebviewPanel; surface: ChatSurface } | undefined;
  #trouble = "";
  #busy = new vscode.EventEmitter<void>();
  readonly onBusy = this.#busy.event;

  constructor(context: vscode.ExtensionContext, server: Server, chats: ChatStore, proposals: Proposals, log: (line: string) => void) {
    this.#context = context;
    this.#proposals = proposals;
    this.#log = log;
    this.#server = server;
    this.#chats = chats;
    this.#turns = new Turns(server, chats, {
      changed: (place) => {
        if (place instanceof ChatSurface) place.turnsChanged();
        this.#busy.fire();
      },
      ended: (turn, place) => this.#changed({ chat: { id: turn.chat }, turns: [turn] }, place),
    });
    this.#view = this.#surface("view");
    chats.audience = {
      changed: (change) => {
        if (change.chat.deleted) this.#turns.stopChat(change.chat.id, "the chat was deleted");
        this.#changed(change);
      },
      stop: (turn) => this.#turns.stop(turn),
      trouble: (trouble) => this.#troubled(trouble),
    };
    const keep = { webviewOptions: { retainContextWhenHidden: false } };
    context.subscriptions.push(
      vscode.window.registerWebviewViewProvider(VIEW, this, keep),
      vscode.window.registerWebviewPanelSerializer(PANEL, this),
      server.onChange(() => this.#tell(this.#greeting())),
    );
  }

  /** How many answers are running. */
  get running(): number {
    return this.#turns.count();
  }

  /** Whether the chat is visible. */
  get visible(): boolean {
    return this.#surfaces.some((surface) => surface.visible);
  }

  resolveWebviewView(view: vscode.WebviewView): void {
    this.#view.show(view.webview);
    this.#view.visible = view.visible;
    view.onDidChangeVisibility(() => {
      this.#view.visible = view.visible;
      if (view.visible) void this.#server.look();
    });
    view.onDidDispose(() => this.#view.close());
    void this.#server.look();
  }

  /** VS Code restores the tabs of its layout some seconds before the end; a tab closed since then stays closed. */
  async deserializeWebviewPanel(panel: vscode.WebviewPanel): Promise<void> {
    const chat = this.#chats.shown("tab");
    if (this.#tab || !chat || chat === this.#view.current) panel.dispose();
    else this.#adopt(panel).show(panel.webview);
  }

  /** Move the side bar's chat to an editor tab; its running answer continues there. */
  openInEditor(): void {
    if (this.#tab) {
      this.#tab.panel.reveal();
      return;
    }
    const panel = vscode.window.createWebviewPanel(PANEL, UNTITLED, vscode.ViewColumn.Active, options(this.#context.extensionUri));
    const surface = this.#adopt(panel);
    this.#view.moveTo(surface);
    this.#titled(this.#chats.chat(surface.current ?? "")?.title ?? "", surface);
    this.#view.tell({ type: "chat", chat: newChat(this.#agent(surface.current)) });
    surface.show(panel.webview);
  }

  /** Start a new chat, with this agent or the chosen one. */
  async newChat(agent?: string): Promise<void> {
    const surface = await this.#reveal();
    await surface.tellWhenLoaded({ type: "chat", chat: newChat(agent ?? this.#agent(surface.current)) });
  }

  async attach(found: Mentioned): Promise<void> {
    if ("refused" in found) return void vscode.window.showWarningMessage(found.refused);
    const surface = await this.#reveal();
    await surface.tellWhenLoaded({ type: "attach", ...found });
  }

  /** The editor in use is another one: offer its file as context. */
  editorChanged(): void {
    this.#tell([offer()]);
  }

  stop(reason?: string): void {
    this.#turns.stopAll(reason);
  }

  get #surfaces(): ChatSurface[] {
    return this.#tab ? [this.#view, this.#tab.surface] : [this.#view];
  }

  #agent(chat: string | undefined): string {
    return (chat && this.#chats.chat(chat)?.agent) || "";
  }

  /** The visible place, or else the side bar's view, brought to the front. */
  async #reveal(): Promise<ChatSurface> {
    if (this.#tab?.panel.visible) {
      this.#tab.panel.reveal();
      return this.#tab.surface;
    }
    await vscode.commands.executeCommand(`${VIEW}.focus`);
    return this.#view;
  }

  #surface(name: PlaceName): ChatSurface {
    return new ChatSurface(name, {
      extension: this.#context.extensionUri,
      chats: this.#chats,
      turns: this.#turns,
      proposals: this.#proposals,
      greeting: () => this.#greeting(),
      changed: (change, place) => this.#changed(change, place),
      titled: (title, place) => this.#titled(title, place),
      shownElsewhere: (chat, place) => this.#shownElsewhere(chat, place),
    });
  }

  #adopt(panel: vscode.WebviewPanel): ChatSurface {
    const surface = this.#surface("tab");
    surface.visible = panel.visible;
    panel.iconPath = vscode.Uri.joinPath(this.#context.extensionUri, "media", "icon.png");
    panel.onDidChangeViewState(() => (surface.visible = panel.visible));
    panel.onDidDispose(() => {
      surface.close();
      this.#tab = undefined;
      surface.current = undefined;
    });
    this.#tab = { panel, surface };
    return surface;
  }

  /** Report a change to the other places of this window, or a change in another window to all of them. */
  #changed(change: Change, place?: Place): void {
    for (const other of this.#surfaces) if (other !== place) other.tell({ type: "changed", ...change });
    const { id, title } = change.chat;
    if (this.#tab?.surface.current === id && title !== undefined) this.#titled(title, this.#tab.surface); // it may be hidden
  }

  #titled(title: string, place: ChatSurface): void {
    if (this.#tab?.surface !== place) return;
    const line = String(title).slice(0, 4 * TITLE).split("\n", 1)[0]?.trim() ?? "";
    this.#tab.panel.title = line.length > TITLE ? `${line.slice(0, TITLE - 1)}…` : line || UNTITLED;
  }

  /** Show in the views what is not stored, with an export; and once as a VS Code notification, since no view may be open. */
  #troubled({ message, unkept, detail }: Trouble): void {
    this.#tell([{ type: "storage", message, unkept }]);
    const known = this.#trouble;
    this.#trouble = message;
    if (message === known) return;
    this.#log(message ? `${message} ${detail}` : "Chats are stored again.");
    if (!message) return;
    const show = "Show Chat";
    const picked = Promise.resolve(vscode.window.showWarningMessage(`Aura: ${message}`, show));
    void picked.then((button) => button && vscode.commands.executeCommand(`${VIEW}.focus`));
  }

  #shownElsewhere(chat: string, place: ChatSurface): boolean {
    const other = this.#surfaces.find((surface) => surface !== place && surface.current === chat);
    if (!other) return false;
    if (other === this.#view) void vscode.commands.executeCommand(`${VIEW}.focus`);
    else this.#tab?.panel.reveal();
    return true;
  }

  #greeting(): HostEvent[] {
    const { state } = this.#server;
    const { message, unkept } = this.#chats.trouble;
    const trouble: HostEvent[] = [...(message ? [{ type: "storage", message, unkept } as const] : []), offer()];
    if (state.kind === "online") return [{ type: "agents", agents: state.agents }, ...trouble];
    if (state.kind === "looking") return trouble;
    const where = whose(this.#server.address);
    return [{ type: "offline", ...state.failure, ...(where ? { where: `Aura is looked for at ${where}.` } : {}) }, ...trouble];
  }

  #tell(events: HostEvent[]): void {
    for (const surface of this.#surfaces) for (const event of events) surface.tell(event);
  }
}

/** The file of the editor in use, offered as context; a file outside of the workspace has no name that a message could use. */
function offer(): HostEvent {
  const uri = lastEditor()?.document.uri;
  const label = uri && vscode.workspace.getWorkspaceFolder(uri) ? vscode.workspace.asRelativePath(uri) : "";
  return { type: "offer", label, word: label && `#file:${label}` };
}
