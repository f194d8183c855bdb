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
 * @property {string[]} [fallback]  the providers that are asked next when this one does not answer
 * @property {string | null} error
 * @property {number} [contextTokens]  how much the model takes in all, where the host knows it
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

/**
 * What is to be kept, or was changed by somebody else: the named fields of a chat, and whole turns of it.
 * @typedef {{ chat: Partial<import("./chat.js").Chat> & { id: string }, turns?: import("./chat.js").Turn[] }} Change
 */

/**
 * What is kept of a chat.
 * @typedef {object} Opened
 * @property {import("./chat.js").Chat} [chat]
 * @property {import("./chat.js").Turn[]} turns
 * @property {string} [draft]
 * @property {number} [damaged]  how many records of it could not be read; they stay where they are
 * @property {string[]} [elsewhere]  the running turns that go on when this view shows another chat, as they are another tab's
 */

/**
 * What happens in a turn. `open`: the server has taken the request, or is asked for a whole answer; `asking`: this
 * provider is asked now, as the one before it does not answer; `stopped` may say why.
 * @typedef {{ type: "open" }
 *   | { type: "asking", provider: string }
 *   | { type: "token", content: string }
 *   | { type: "reasoning", content: string }
 *   | { type: "done", totalTokens: number, finishReason: string }
 *   | { type: "error" } & Failure
 *   | { type: "stopped", reason?: string }} TurnEvent
 */

/**
 * What a host tells the view. `chat` shows that chat, for hosts that let one choose elsewhere; `changed` is what another
 * view, tab or window has kept; `attach` adds something to the chat that is shown. `storage` is what is the matter with keeping: all of
 * it, each time; `unkept` are the chats of which something would be lost now, and with an empty message all is well.
 * `refused` says why something that a person gave to the chat was not taken.
 * @typedef {TurnEvent & { turn: string }
 *   | { type: "agents", agents: Agent[] }
 *   | { type: "offline" } & Failure
 *   | { type: "chat", chat: import("./chat.js").Chat }
 *   | { type: "changed" } & Change
 *   | { type: "storage", message: string, unkept: string[] }
 *   | { type: "attach" } & import("./chat.js").Attachment
 *   | { type: "refused", message: string }} HostEvent
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
 * @property {() => Promise<{ chats: import("./chat.js").Chat[], current?: string }>} load
 *   the chats that are kept and not deleted, perhaps without what is attached to them; `current` is shown first
 * @property {(chat: string) => Promise<Opened>} open  a running answer in it goes on with the events of its turn
 * @property {(change: Change) => void} save
 *   keep this. Fields that are not named stay as they are, turns that are not named too. Of a turn the view saves
 *   its beginning; the host then keeps what it tells about it, and its end. A chat with `deleted` is not listed any more; its turns
 *   stay for a while, since the deletion may be undone by `deleted: 0`. Nothing else is ever forgotten.
 * @property {(chat: string, text: string) => void} keepDraft  what is written in this chat and not sent; "" forgets it
 * @property {(text: string) => Promise<string[]>} [find]  the chats in which the text is said; where missing, titles are searched
 * @property {(name: string, text: string) => void} [exportFile]  give a person this text as a file
 * @property {() => void} [pickFiles]  let a person choose files, and tell of each with `attach` or `refused`
 * @property {(text: string) => Promise<void>} [copy]  where it is missing there are no copy buttons
 * @property {CodeAction[]} [codeActions]
 * @property {Remedy[]} [remedies]
 * @property {(chat: string, title: string) => void} [shown]  this chat is the one on the page now, or has another title
 */

export {};
