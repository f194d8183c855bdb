// The chat view inside VS Code: the extension host talks to the server and stores the chats; this code only displays
// them.

import type { Command, HostEvent, Mentioned, Opened, Word } from "../../../aura_core/web/host-types.js";
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

const commands: Command[] = [
  { name: "explain", about: "Explain the selection", prompt: "Explain this code: #selection" },
  { name: "fix", about: "Fix the problems that VS Code shows", prompt: "Fix these problems: #problems" },
  { name: "tests", about: "Write tests for the selection", prompt: "Write tests for this code: #selection" },
  { name: "workflow", about: "Open a workflow", run: () => channel.post({ type: "command", command: "aura.openWorkflow" }) },
  { name: "start", about: "Start Aura on this machine", run: () => channel.post({ type: "command", command: "aura.startServer" }) },
  { name: "settings", about: "Open the settings", run: () => channel.post({ type: "command", command: "aura.openSettings" }) },
];

mount(document.body, {
  send: (ask) => channel.post({ type: "ask", ask }),
  stop: (turn) => channel.post({ type: "stop", turn }),
  save: (change) => channel.post({ type: "save", change }),
  keepDraft: (chat, text) => channel.post({ type: "draft", chat, text }),
  shown: (chat, title) => channel.post({ type: "shown", chat, title }),
  exportFile: (name, text) => channel.post({ type: "export", name, text }),
  open: (chat) => channel.ask<Opened>((id) => ({ type: "open", chat, id })),
  find: (text) => channel.ask<string[]>((id) => ({ type: "find", text, id })),
  words: (begun) => channel.ask<Word[]>((id) => ({ type: "words", begun, id })),
  mention: (word) => channel.ask<Mentioned>((id) => ({ type: "mention", word, id })),
  dropped: (addresses) => channel.post({ type: "dropped", addresses }),
  onEvent: (listener) => (tell = listener),
  async load() {
    channel.post({ type: "load" });
    const { chats, current, events } = await new Promise<Loaded>((resolve) => (loaded = resolve));
    for (const event of events) tell(event);
    return { chats, ...(current ? { current } : {}) };
  },
  copy: channel.copy,
  whichFiles: channel.whichFiles,
  openFile: channel.openFile,
  codeActions: channel.codeActions,
  ownFind: true,
  remedies: channel.remedies,
  commands,
});

// Focus the message field, since VS Code focuses only the frame.
addEventListener("focus", () => {
  if (document.activeElement === document.body) document.querySelector("textarea")?.focus();
});
