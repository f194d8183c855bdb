// @ts-check
// The page at `/` as a host of the chat view: it asks this server, and keeps chats in this browser.

import { currentChat, readChats, writeChat } from "./store.js";
import { askToken, authorization } from "./token.js";
import { refusal, runTurn } from "./turn.js";
import { isRunning } from "./chat.js";
import { mount } from "./view.js";

/** @typedef {import("./host-types.js").HostEvent} HostEvent */

/** Milliseconds between two looks for a server that is not there, or behind something else that answers. */
const AGAIN = 3000;

/** Why an answer ends with its page. */
const CLOSED = "the page was closed";

/** @type {(event: HostEvent) => void} */
let tell = () => {};
/** @type {Map<string, AbortController>} */
const turns = new Map();
/** @type {Map<string, boolean>} */
const streams = new Map();
/** @type {ReturnType<typeof setTimeout> | undefined} */
let again;

/** @type {import("./host-types.js").Host} */
const host = {
  send({ turn, agent, prompt, history }) {
    const abort = new AbortController();
    turns.set(turn, abort);
    const body = { prompt, conversationHistory: history };
    const question = { url: "", agent, streaming: streams.get(agent) ?? true, body, headers: authorization() };
    const emit = (/** @type {import("./host-types.js").TurnEvent} */ event) => {
      tell({ ...event, turn });
      if (event.type !== "error") return;
      if (event.code === "unauthorized") void askToken().then(findAgents);
      else if (event.code === "unreachable" || event.code === "agent_not_found") void findAgents();
    };
    void runTurn(question, emit, { signal: abort.signal }).finally(() => turns.delete(turn));
  },
  stop(turn) {
    turns.get(turn)?.abort();
  },
  onEvent(listener) {
    tell = listener;
  },
  async load() {
    const chats = readChats();
    const current = currentChat();
    for (const chat of chats) closeOpenEnds(chat);
    return current === undefined ? { chats } : { chats, current };
  },
  save: writeChat,
  copy,
};

/**
 * An answer that was running when its browser was killed runs no more.
 * @param {import("./chat.js").Chat} chat
 */
function closeOpenEnds(chat) {
  for (const message of chat.messages) {
    if (message.role !== "assistant" || !isRunning(message)) continue;
    Object.assign(message, { state: "stopped", ended: Date.now(), reason: CLOSED });
  }
}

/** @param {string} text */
async function copy(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  // Without HTTPS, on another machine than this one, there is only the old way.
  const area = document.createElement("textarea");
  area.value = text;
  document.body.append(area);
  area.select();
  const copied = document.execCommand("copy");
  area.remove();
  if (!copied) throw new Error("the browser did not copy");
}

async function findAgents() {
  clearTimeout(again);
  try {
    const response = await fetch("/api/agents", { headers: authorization(), cache: "no-store" });
    const refused = await refusal(response, "application/json");
    if (!refused) {
      const { agents } = /** @type {{ agents: import("./host-types.js").Agent[] }} */ (await response.json());
      for (const { id, streaming } of agents) streams.set(id, streaming);
      tell({ type: "agents", agents });
      return;
    }
    const { code, message } = refused;
    tell({ type: "offline", code, message });
    if (code === "unauthorized") {
      await askToken();
      await findAgents();
      return;
    }
  } catch (error) {
    tell({ type: "offline", code: "unreachable", message: String(error) });
  }
  clearTimeout(again);
  again = setTimeout(findAgents, AGAIN);
}

mount(document.body, host);
void findAgents();
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) void findAgents();
});
// The browser closes the connections of a closed tab; one that it keeps for "back" would go on generating.
addEventListener("pagehide", () => {
  for (const [turn, abort] of turns) {
    tell({ type: "stopped", reason: CLOSED, turn }); // the view keeps what came; afterwards there is no time for it
    abort.abort();
  }
});
