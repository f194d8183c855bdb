// @ts-check
// What the view and its host say to each other; types only. Every message is plain JSON, so that it may cross a process.

/**
 * An agent, as `GET /api/agents` lists it.
 * @typedef {object} Agent
 * @property {string} id
 * @property {string} name
 * @property {string} description
 * @property {string | null} provider
 * @property {string | null} model
 * @property {boolean} streaming
 * @property {string | null} error
 */

/** @typedef {{ role: "user" | "assistant", content: string }} Said */

/**
 * What the view asks its host to send.
 * @typedef {object} Ask
 * @property {string} turn  names this turn in every event about it
 * @property {string} agent
 * @property {string} prompt
 * @property {Said[]} history
 * @property {string} [context]  what goes along with this turn only
 */

/** @typedef {{ code: string, message: string, retryAfter?: number }} Failure */

/** What is written but not sent. @typedef {{ text: string, attached: import("./chat.js").Attachment[] }} Draft */

/**
 * What happens in a turn. `open`: the server has taken the request, or is asked for a whole answer; `stopped` may
 * say why.
 * @typedef {{ type: "open" }
 *   | { type: "token", content: string }
 *   | { type: "reasoning", content: string }
 *   | { type: "done", totalTokens: number, finishReason: string }
 *   | { type: "error" } & Failure
 *   | { type: "stopped", reason?: string }} TurnEvent
 */

/**
 * What a host tells the view. `chat` shows that chat, for hosts that let one choose elsewhere; `kept` lists a chat that was
 * held in another view; `attach` sends something along with the next message.
 * @typedef {TurnEvent & { turn: string }
 *   | { type: "agents", agents: Agent[] }
 *   | { type: "offline" } & Failure
 *   | { type: "chat", chat: import("./chat.js").Chat }
 *   | { type: "kept", chat: import("./chat.js").Chat }
 *   | { type: "attach" } & import("./chat.js").Attachment} HostEvent
 */

/**
 * Something that a host can do with a block of code, besides copying it.
 * @typedef {{ label: string, run: (code: string, language: string) => void }} CodeAction
 */

/**
 * Something that a host can do about a server that does not answer.
 * @typedef {{ label: string, run: () => void }} Remedy
 */

/**
 * Whoever shows the view gives it this. The view itself reaches for nothing: no network, no storage, no clipboard.
 * @typedef {object} Host
 * @property {(ask: Ask) => void} send
 * @property {(turn: string) => void} stop
 * @property {(listener: (event: HostEvent) => void) => void} onEvent
 * @property {() => Promise<{ chats: import("./chat.js").Chat[], current?: string, draft?: Draft }>} load
 *   the chats that are kept; `current` is shown first. A running answer in it goes on with the events of its turn.
 * @property {(chat: import("./chat.js").Chat) => void} save  keep it; one without messages is to be forgotten
 * @property {(text: string) => Promise<void>} [copy]  where it is missing there are no copy buttons
 * @property {CodeAction[]} [codeActions]
 * @property {Remedy[]} [remedies]
 * @property {(draft: Draft) => void} [draft]  keep what is written but not sent
 * @property {(chat: string) => void} [shown]  this chat is the one on the page now
 */

export {};
