// One place that shows a chat, the side bar's view or an editor tab: its webview, its current chat, its disposal.

import * as vscode from "vscode";
import { newChat } from "../../../aura_core/web/chat.js";
import type { Change, HostEvent, TurnEvent } from "../../../aura_core/web/host-types.js";
import { Batch } from "../batch.js";
import { Heartbeat } from "../heartbeat.js";
import type { PlaceName } from "../storage/chatFiles.js";
import type { ChatStore } from "../storage/chatStore.js";
import type { Place, Turns } from "../turns.js";
import type { FromChat, ToChat } from "../webview/messages.js";
import { file } from "../attach.js";
import type { Proposals } from "../code/proposals.js";
import { mention, words } from "../mentions.js";
import { exportFile, runEditorAction } from "./editorActions.js";
import { html, options } from "./html.js";

/** Milliseconds for which an answer continues in a hidden chat. */
const HIDDEN = 10_000;
/** Files that are attached by one drop. */
const MOST_DROPPED = 20;

export interface Around {
  extension: vscode.Uri;
  chats: ChatStore;
  turns: Turns;
  proposals: Proposals;
  /** The first events for a view that was just loaded: the agents, or why there are none, and the state of storage. */
  greeting: () => HostEvent[];
  /** A chat was changed in this place. */
  changed: (change: Change, place: ChatSurface) => void;
  /** The displayed chat has this title; "" while it has none. */
  titled: (title: string, place: ChatSurface) => void;
  /** Bring the other place to the front if it shows this chat. Returns whether it does. */
  shownElsewhere: (chat: string, place: ChatSurface) => boolean;
}

export class ChatSurface implements Place {
  #webview: vscode.Webview | undefined;
  #name;
  #around;
  #loaded = false;
  /** Whether the loaded view shows its chat. */
  #settled = false;
  #visible = false;
  #hidden: ReturnType<typeof setTimeout> | undefined;
  #waiting: (() => void)[] = [];
  #batch = new Batch<HostEvent>((events) => this.#post({ type: "events", events }));
  #heartbeat = new Heartbeat(
    () => this.#ping(),
    () => this.#around.turns.stopAll("the window no longer responds", this),
  );

  constructor(name: PlaceName, around: Around) {
    this.#name = name;
    this.#around = around;
  }

  /** The displayed chat. */
  get current(): string | undefined {
    return this.#around.chats.shown(this.#name);
  }

  set current(chat: string | undefined) {
    this.#around.chats.show(this.#name, chat);
  }

  /** Show the chat in this webview, from now on. */
  show(webview: vscode.Webview): void {
    this.#webview = webview;
    this.#loaded = false;
    webview.options = options(this.#around.extension);
    webview.onDidReceiveMessage((message: FromChat) => this.#receive(message));
    webview.html = html(webview, this.#around.extension, "chat", "Aura: chat");
  }

  /** VS Code discards the page when it hides the view, and loads it again when it shows it. */
  set visible(visible: boolean) {
    if (visible === this.#visible) return;
    this.#visible = visible;
    clearTimeout(this.#hidden);
    this.#heartbeat.replied();
    if (visible) return;
    this.#loaded = false;
    this.#hidden = setTimeout(() => {
      const what = vscode.workspace.getConfiguration("aura.chat").get("whenHidden", "stop");
      if (what === "stop") this.#around.turns.stopAll("hidden", this);
    }, HIDDEN);
  }

  get visible(): boolean {
    return this.#visible;
  }

  /** The webview was disposed. */
  close(): void {
    this.visible = false;
    clearTimeout(this.#hidden);
    this.#webview = undefined;
    this.#around.turns.stopAll("the chat was closed", this);
    this.#heartbeat.stop();
  }

  receive(event: TurnEvent & { turn: string }): void {
    this.tell(event);
  }

  /** Send an event to the view, if there is one; a view that is loaded later opens the stored data. */
  tell(event: HostEvent): void {
    if (this.#loaded) this.#batch.add(event);
  }

  /** Send an event to the view as soon as it is loaded and shows its chat. */
  async tellWhenLoaded(event: HostEvent): Promise<void> {
    if (!this.#loaded || !this.#settled) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    this.tell(event);
  }

  /** An answer started or ended here. */
  turnsChanged(): void {
    if (this.#around.turns.count(this)) this.#heartbeat.start();
    else this.#heartbeat.stop();
  }

  /** Move the running answers and the displayed chat to another place. */
  moveTo(other: ChatSurface): void {
    other.current = this.current;
    this.current = undefined;
    for (const turn of this.#around.turns.move(this, other)) this.tell({ type: "stopped", reason: "it continues in the editor", turn });
  }

  #answer(id: number, value: Promise<unknown>): void {
    void value.then((value) => this.#post({ type: "answered", id, value }));
  }

  /** Attach the files that were dropped on the chat. */
  async #dropped(addresses: string[]): Promise<void> {
    for (const address of addresses.slice(0, MOST_DROPPED)) {
      const found = await file(vscode.Uri.parse(address));
      if ("refused" in found) this.tell({ type: "refused", message: found.refused });
      else this.tell({ type: "attach", ...found });
    }
  }

  #ping(): void {
    if (this.#loaded) this.#post({ type: "ping" });
    // Without a page, only the window can be pinged.
    else void vscode.commands.executeCommand("setContext", "aura.busy", true).then(() => this.#heartbeat.replied());
  }

  #post(message: ToChat): void {
    void this.#webview?.postMessage(message);
  }

  #receive(message: FromChat): void {
    this.#heartbeat.replied();
    const { chats, turns, changed } = this.#around;
    switch (message.type) {
      case "load":
        this.#load();
        break;
      case "open":
        this.#open(message.chat, message.id);
        break;
      case "ask":
        void turns.start(message.ask, this);
        break;
      case "stop":
        turns.stop(message.turn);
        break;
      case "save": {
        const change = chats.save(message.change);
        if (!change) break; // not what a view of ours would send
        // One that was deleted elsewhere meanwhile is told here, a change in this place to the others.
        if (change.chat.deleted && !message.change.chat.deleted) this.tell({ type: "changed", ...change });
        else changed(change, this);
        break;
      }
      case "draft":
        chats.keepDraft(message.chat, message.text);
        break;
      case "find":
        this.#answer(message.id, chats.find(message.text));
        break;
      case "words":
        this.#answer(message.id, words(message.begun));
        break;
      case "mention":
        this.#answer(message.id, mention(message.word));
        break;
      case "dropped":
        void this.#dropped(message.addresses);
        break;
      case "export":
        void exportFile(message.name, message.text);
        break;
      case "shown":
        this.#shown(message.chat, message.title);
        break;
      default:
        if (this.#webview) void runEditorAction(message, this.#webview, this.#around.proposals);
    }
  }

  /** A chat is shown in only one place: its running answer ends with that place. */
  #shown(chat: string, title: string): void {
    const { chats, shownElsewhere } = this.#around;
    if (shownElsewhere(chat, this)) {
      this.tell({ type: "chat", chat: newChat(chats.chat(chat)?.agent ?? "") });
      return;
    }
    this.current = chat;
    this.#around.titled(title, this);
  }

  #load(): void {
    const { chats, greeting } = this.#around;
    this.#batch.clear();
    const list = chats.list();
    const current = this.current === undefined ? {} : { current: this.current };
    this.#post({ type: "loaded", chats: list, ...current, events: greeting() });
    this.#loaded = true;
    this.#settled = false;
    // A view that is opening its last chat does not know its attachments yet.
    if (!list.some(({ id }) => id === this.current)) this.#ready();
  }

  #open(chat: string, id: number): void {
    this.#batch.flush(); // it contains all events before this one
    const opened = this.#around.chats.open(chat);
    const elsewhere = [...(opened.elsewhere ?? []), ...this.#around.turns.elsewhere(this)];
    this.#post({ type: "answered", id, value: { ...opened, elsewhere } });
    this.#ready();
  }

  #ready(): void {
    this.#settled = true;
    for (const go of this.#waiting.splice(0)) go();
  }
}
