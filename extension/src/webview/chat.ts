// The chat view inside VS Code: the extension host asks the server and keeps the chats, this only shows them.

import type { Draft, HostEvent } from "../../../aura_core/web/host-types.js";
import { mount } from "../../../aura_core/web/view.js";
import { Channel } from "./channel.js";
import type { FromChat, ToChat } from "./messages.js";

type Loaded = Extract<ToChat, { type: "loaded" }>;

let tell: (event: HostEvent) => void = () => {};
let loaded: (message: Loaded) => void = () => {};

const channel = new Channel<FromChat, ToChat>((message) => {
  if (message.type === "loaded") loaded(message);
  else for (const event of message.events) tell(event);
});

mount(document.body, {
  send: (ask) => channel.post({ type: "ask", ask }),
  stop: (turn) => channel.post({ type: "stop", turn }),
  save: (chat) => channel.post({ type: "save", chat }),
  shown: (chat) => channel.post({ type: "shown", chat }),
  draft: (draft) => (channel.state = { draft }),
  onEvent: (listener) => (tell = listener),
  async load() {
    const draft = channel.state["draft"] as Draft | undefined;
    channel.post({ type: "load" });
    const { chats, current, events } = await new Promise<Loaded>((resolve) => (loaded = resolve));
    for (const event of events) tell(event);
    return { chats, ...(current ? { current } : {}), ...(draft ? { draft } : {}) };
  },
  copy: channel.copy,
  codeActions: channel.codeActions,
  remedies: channel.remedies,
});

// Whoever comes to the view comes to write; VS Code focuses only the frame.
addEventListener("focus", () => {
  if (document.activeElement === document.body) document.querySelector("textarea")?.focus();
});
