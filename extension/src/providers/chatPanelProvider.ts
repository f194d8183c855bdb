// The chat in the side bar and, if one likes, in an editor tab; closing it stops what runs in it.

import * as vscode from "vscode";
import { newChat } from "../../../aura_core/web/chat.js";
import type { Attachment } from "../../../aura_core/web/chat.js";
import type { HostEvent } from "../../../aura_core/web/host-types.js";
import type { Server } from "../server.js";
import type { PlaceName, Transcript } from "../transcript.js";
import { Turns } from "../turns.js";
import { options } from "./html.js";
import { ChatSurface } from "./chatSurface.js";

const VIEW = "aura.chat";
const PANEL = "aura.chatPanel";

export class ChatPanelProvider implements vscode.WebviewViewProvider, vscode.WebviewPanelSerializer {
  #context;
  #server;
  #transcript;
  #turns;
  #view;
  /** The editor tab, when there is one. */
  #tab: { panel: vscode.WebviewPanel; surface: ChatSurface } | undefined;
  #busy = new vscode.EventEmitter<void>();
  readonly onBusy = this.#busy.event;

  constructor(context: vscode.ExtensionContext, server: Server, transcript: Transcript) {
    this.#context = context;
    this.#server = server;
    this.#transcript = transcript;
    this.#turns = new Turns(server, this.#transcript, (place) => {
      if (place instanceof ChatSurface) place.turnsChanged();
      this.#busy.fire();
    });
    this.#view = this.#surface("view");
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

  /** Whether somebody is looking. */
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

  /** VS Code brings tabs back as its layout was some seconds before the end; one that was closed since stays closed. */
  async deserializeWebviewPanel(panel: vscode.WebviewPanel): Promise<void> {
    const chat = this.#transcript.shown("tab");
    if (this.#tab || !chat || chat === this.#view.current) panel.dispose();
    else this.#adopt(panel).show(panel.webview);
  }

  /** Continue the side bar's chat in an editor tab; what runs there runs on here. */
  openInEditor(): void {
    if (this.#tab) {
      this.#tab.panel.reveal();
      return;
    }
    const panel = vscode.window.createWebviewPanel(PANEL, "Aura", vscode.ViewColumn.Active, options(this.#context.extensionUri));
    const surface = this.#adopt(panel);
    this.#view.moveTo(surface);
    this.#view.tell({ type: "chat", chat: newChat(this.#agent(surface.current)) });
    surface.show(panel.webview);
  }

  /** A new chat, with this agent or the one that is chosen. */
  async newChat(agent?: string): Promise<void> {
    const surface = await this.#reveal();
    await surface.tellWhenLoaded({ type: "chat", chat: newChat(agent ?? this.#agent(surface.current)) });
  }

  async attach(attachment: Attachment): Promise<void> {
    const surface = await this.#reveal();
    await surface.tellWhenLoaded({ type: "attach", ...attachment });
  }

  stop(reason?: string): void {
    this.#turns.stopAll(reason);
  }

  get #surfaces(): ChatSurface[] {
    return this.#tab ? [this.#view, this.#tab.surface] : [this.#view];
  }

  #agent(chat: string | undefined): string {
    return this.#transcript.get(chat)?.agent ?? "";
  }

  /** The place that one sees, or the side bar's view, brought to the front. */
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
      transcript: this.#transcript,
      turns: this.#turns,
      greeting: () => this.#greeting(),
      kept: (chat, place) => this.#kept(chat, place),
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
      const { current } = surface;
      surface.current = undefined;
      if (current) this.#kept(current, surface);
    });
    this.#tab = { panel, surface };
    return surface;
  }

  /** The other place lists what was said here, once nothing of it runs any more. */
  #kept(id: string, place: ChatSurface): void {
    const chat = this.#transcript.get(id);
    for (const other of this.#surfaces) {
      if (other !== place && chat && !this.#turns.elsewhere(id, other)) other.tell({ type: "kept", chat });
    }
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
    if (state.kind === "online") return [{ type: "agents", agents: state.agents }];
    return state.kind === "offline" ? [{ type: "offline", ...state.failure }] : [];
  }

  #tell(events: HostEvent[]): void {
    for (const surface of this.#surfaces) for (const event of events) surface.tell(event);
  }
}
