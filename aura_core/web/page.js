// @ts-check
// The page at `/` as a host of the chat view: it sends requests to this server, and stores chats in this browser.

import { exportFile, pickFiles } from "./files.js";
import { CLOSED, Keeper } from "./keeper.js";
import { askToken, authorization } from "./token.js";
import { refusal, runTurn } from "./turn.js";
import { mount } from "./view.js";
import { tabStorage } from "./web-storage.js";

/** @typedef {import("./host-types.js").HostEvent} HostEvent */
/** @typedef {import("./host-types.js").TurnEvent} TurnEvent */

/** Milliseconds between two attempts to reach a server that does not respond, or to which another program responds. */
const AGAIN = 3000;
/** Milliseconds after which a request that is not answered may be waiting for a connection, and how many a browser opens. */
const UNANSWERED = 2000;
const CONNECTIONS = 6;
/** The chat that this tab showed last. */
const CURRENT = "aura.current";

/** @type {(event: HostEvent) => void} */
let tell = () => {};
/** @type {Map<string, AbortController>} */
const turns = new Map();
/** @type {Map<string, boolean>} */
const streams = new Map();
/** @type {ReturnType<typeof setTimeout> | undefined} */
let again;
/** Whether the user has closed the dialog for the token. */
let dismissed = false;

const keeper = new Keeper((event) => tell(event), (turn) => turns.get(turn)?.abort()); // prettier-ignore

/** @type {import("./host-types.js").Host} */
const host = {
  send({ turn, agent, prompt, history, context }) {
    const abort = new AbortController();
    turns.set(turn, abort);
    const body = { prompt, conversationHistory: history, ...(context ? { additionalContext: context } : {}) };
    const question = { url: ".", agent, streaming: streams.get(agent) ?? true, body, headers: authorization() };
    const unanswered = setTimeout(() => void queued(turn), UNANSWERED);
    const emit = (/** @type {TurnEvent} */ event) => {
      clearTimeout(unanswered);
      receive(turn, event);
      if (event.type !== "error") return;
      if (event.code === "unauthorized") void enterToken();
      else if (event.code === "unreachable" || event.code === "agent_not_found") void findAgents();
    };
    void runTurn(question, emit, { signal: abort.signal }).finally(() => turns.delete(turn));
  },
  stop(turn) {
    turns.get(turn)?.abort();
    keeper.stop(turn);
  },
  onEvent(listener) {
    tell = listener;
  },
  async load() {
    const chats = await keeper.load();
    const current = tabStorage.get(CURRENT);
    return current === null ? { chats } : { chats, current };
  },
  open: (chat) => keeper.open(chat),
  save: (change) => keeper.save(change),
  keepDraft: (chat, text) => keeper.draft(chat, text),
  find: (text) => keeper.find(text),
  shown(chat, title) {
    tabStorage.set(CURRENT, chat);
    document.title = title ? `${title} · Aura` : "Aura";
  },
  remedies: [{ label: "Enter the token", codes: ["unauthorized"], run: () => void enterToken() }],
  pickFiles: () => pickFiles(tell),
  exportFile,
  copy,
};

/**
 * @param {string} turn
 * @param {TurnEvent} event
 */
function receive(turn, event) {
  keeper.receive(turn, event);
  tell({ ...event, turn });
}

/** @param {string} text */
async function copy(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  // Without HTTPS, on another machine, only the legacy API exists.
  const area = document.createElement("textarea");
  area.value = text;
  document.body.append(area);
  area.select();
  const copied = document.execCommand("copy");
  area.remove();
  if (!copied) throw new Error("the browser did not copy");
}

/** Say why a request waits: other tabs use all connections, which the browser does not tell. @param {string} turn */
async function queued(turn) {
  const others = await keeper.others();
  if (others >= CONNECTIONS && turns.has(turn)) receive(turn, { type: "queued", others });
}

async function enterToken() {
  dismissed = !(await askToken());
  if (!dismissed) await findAgents();
}

async function findAgents() {
  clearTimeout(again);
  try {
    const response = await fetch("api/agents", { headers: authorization(), cache: "no-store" });
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
      if (!dismissed) await enterToken();
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
// The browser closes the connections of a closed tab; a page kept in the back/forward cache would continue to generate.
addEventListener("pagehide", () => {
  for (const [turn, abort] of turns) {
    receive(turn, { type: "stopped", reason: CLOSED }); // the received text is stored now; there is no time for it later
    abort.abort();
  }
  keeper.leave();
});
