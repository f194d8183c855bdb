// @ts-check
// The messages between the view and its host; types only. Every message is plain JSON, so that it can cross process
// boundaries.

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
 * @property {string[]} [tags]
 * @property {string | null} error
 * @property {number} [contextTokens]  the model's context length, if the host knows it
 */

/** @typedef {{ role: "user" | "assistant", content: string }} Said */

/**
 * A request that the view asks its host to send.
 * @typedef {object} Ask
 * @property {string} turn  names this turn in every event about it
 * @property {string} agent
 * @property {string} prompt
 * @property {Said[]} history
 * @property {string} [context]  context for this turn only
 */

/** @typedef {{ code: string, message: string, retryAfter?: number }} Failure */

/**
 * Data to store, or data changed elsewhere: the given fields of a chat, and complete turns of it.
 * @typedef {{ chat: Partial<import("./chat.js").Chat> & { id: string }, turns?: import("./chat.js").Turn[] }} Change
 */

/**
 * The stored data of a chat.
 * @typedef {object} Opened
 * @property {import("./chat.js").Chat} [chat]
 * @property {import("./chat.js").Turn[]} turns
 * @property {string} [draft]
 * @property {number} [damaged]  how many of its records could not be read; they are not deleted
 * @property {string[]} [elsewhere]  the turns that run in another tab; they continue when this view shows another chat
 */

/**
 * An event of a turn. `open`: the server has accepted the request, or a complete answer was requested; `queued`: the browser
 * has not sent it yet, as this many other answers use its connections; `asking`: this provider is asked now, as the one
 * before it does not answer; `stopped` may have a reason.
 * @typedef {{ type: "open" }
 *   | { type: "queued", others: number }
 *   | { type: "asking", provider: string }
 *   | { type: "token", content: string }
 *   | { type: "reasoning", content: string }
 *   | { type: "done", totalTokens: number, finishReason: string }
 *   | { type: "error" } & Failure
 *   | { type: "stopped", reason?: string }} TurnEvent
 */

/**
 * An event from the host. `chat` shows that chat, for hosts that let the user choose elsewhere; `changed` is data that
 * another view, tab or window has stored; `attach` adds an attachment to the displayed chat. `storage` reports the state of
storage, in full each time: `unkept` are the chats with data that would be lost now, and an empty message means that
everything is stored. `refused` says why a file that the user chose was not attached. `offer` proposes the open editor as
context, as the word `mention` takes; an empty word takes the proposal back. `where` of `offline` says where the server is
looked for, in a full sentence.
 * @typedef {TurnEvent & { turn: string }
 *   | { type: "agents", agents: Agent[] }
 *   | { type: "offline", where?: string } & Failure
 *   | { type: "chat", chat: import("./chat.js").Chat }
 *   | { type: "changed" } & Change
 *   | { type: "storage", message: string, unkept: string[] }
 *   | { type: "attach" } & import("./chat.js").Attachment
 *   | { type: "offer", label: string, word: string }
 *   | { type: "refused", message: string }} HostEvent
 */

/**
 * A host's action for a block of code, besides copying it; with `languages`, for code of these only.
 * @typedef {{ label: string, title?: string, languages?: string[], run: (code: string, language: string) => void }} CodeAction
 */

/**
 * A host's action for a server that does not answer, or refuses to: offered for these error codes. The first one that
 * fits is what helps most.
 * @typedef {{ label: string, codes: string[], run: () => void }} Remedy
 */

/**
 * A word that completes what was typed in a message. `goesOn`: it is only the beginning of one, as `#file:`.
 * @typedef {{ word: string, about?: string, goesOn?: boolean }} Word
 */

/**
 * What a message that begins with `/name` does: `prompt` takes its place, or `run` is called.
 * @typedef {{ name: string, about: string, prompt?: string, run?: () => void }} Command
 */

/**
 * What a word such as `#selection` stands for, or why it stands for nothing now.
 * @typedef {import("./chat.js").Attachment | { refused: string }} Mentioned
 */

/**
 * The interface to the application that shows the view. The view itself does no I/O: no network, no storage, no clipboard.
 * @typedef {object} Host
 * @property {(ask: Ask) => void} send
 * @property {(turn: string) => void} stop
 * @property {(listener: (event: HostEvent) => void) => void} onEvent
 * @property {() => Promise<{ chats: import("./chat.js").Chat[], current?: string }>} load
 *   the stored chats that are not deleted, perhaps without their attachments; `current` is shown first
 * @property {(chat: string) => Promise<Opened>} open  a running answer in it continues with the events of its turn
 * @property {(change: Change) => void} save
 *   store this. Fields and turns that are not given keep their values. The view saves a turn when it starts; the host then
 *   stores the events that it sends for it, up to its end. A chat with `deleted` is no longer listed; its turns are kept for
 *   a while, since the deletion may be undone by `deleted: 0`. Nothing else is ever removed.
 * @property {(chat: string, text: string) => void} keepDraft  the unsent draft of this chat; "" removes it
 * @property {(text: string) => Promise<string[]>} [find]  the chats that contain the text; if missing, only titles are searched
 * @property {(name: string, text: string) => void} [exportFile]  let the user save this text as a file
 * @property {() => void} [pickFiles]  let the user choose files, and report each with `attach` or `refused`
 * @property {(text: string) => Promise<void>} [copy]  if missing, there are no copy buttons
 * @property {CodeAction[]} [codeActions]
 * @property {Remedy[]} [remedies]
 * @property {(begun: string) => Promise<Word[]>} [words]  the words that begin so, for a text with `#` in front
 * @property {(word: string) => Promise<Mentioned>} [mention]
 * @property {Command[]} [commands]
 * @property {(names: string[]) => Promise<boolean[]>} [whichFiles]  which of these names are files that `openFile` opens
 * @property {(name: string, line: number) => void} [openFile]  `line` counts from 1
 * @property {(addresses: string[]) => void} [dropped]  attach the files with these URIs; report each with `attach` or `refused`
 * @property {boolean} [ownFind]  Ctrl+F opens the view's own search, as the window of the host has none
 * @property {(chat: string, title: string) => void} [shown]  this chat is now displayed, or has a new title
 */

export {};
