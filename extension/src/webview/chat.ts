// The chat view inside VS Code: the extension host talks to the server and stores the chats; this code only displays
// them.

import type { HostEvent, Opened } from "../../../aura_core/web/host-types.js";
import { mount } from "../../../aura_core/web/view.js";
import { Channel } from "./channel.js";
import type { FromChat, ToChat } from "./messages.js";

type Loaded = Extract<ToChat, { type: "loaded" }>;

let tell: (event: HostEvent) => void = () => {};
let loaded: (message: Loaded) => void = () => {};
/** Pending requests to the extension host, by number. */
const waiting = new Map<number, (answer: never) => void>();
let questions = 0;

const channel = new Channel<FromChat, ToChat>((message) => {
  if (message.type === "loaded") loaded(message);
  else if (message.type === "opened") answer(message.id, message.opened);
  else if (message.type === "found") answer(message.id, message.chats);
  else for (const event of message.events) tell(event);
});

function ask<T>(question: (id: number) => FromChat): Promise<T> {
  const id = ++questions;
  const answered = new Promise<T>((resolve) => waiting.set(id, resolve));
  channel.post(question(id));
  return answered;
}

function answer(id: number, value: unknown): void {
  waiting.get(id)?.(value as never);
  waiting.delete(id);
}

mount(document.body, {
  send: (ask) => channel.post({ type: "ask", ask }),
  stop: (turn) => channel.post({ type: "stop", turn }),
  save: (change) => channel.post({ type: "save", change }),
  keepDraft: (chat, text) => channel.post({ type: "draft", chat, text }),
  shown: (chat, title) => channel.post({ type: "shown", chat, title }),
  exportFile: (name, text) => channel.post({ type: "export", name, text }),
  open: (chat) => ask<Opened>((id) => ({ type: "open", chat, id })),
  find: (text) => ask<string[]>((id) => ({ type: "find", text, id })),
  onEvent: (listener) => (tell = listener),
  async load() {
    channel.post({ type: "load" });
    const { chats, current, events } = await new Promise<Loaded>((resolve) => (loaded = resolve));
    for (const event of events) tell(event);
    return { chats, ...(current ? { current } : {}) };
  },
  copy: channel.copy,
  codeActions: channel.codeActions,
  remedies: channel.remedies,
});

// Focus the message field, since VS Code focuses only the frame.
addEventListener("focus", () => {
  if (document.activeElement === document.body) document.querySelector("textarea")?.focus();
});
