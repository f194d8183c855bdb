// @ts-check
// A conversation as data: what was asked, what came back and how it ended, and what of it goes to the model again.

/** @typedef {import("./host-types.js").Failure} Failure */
/** @typedef {import("./host-types.js").Said} Said */
/** @typedef {import("./host-types.js").TurnEvent} TurnEvent */

/**
 * One answer. Times are in milliseconds; `pieces` counts token events.
 * @typedef {object} Answer
 * @property {"assistant"} role
 * @property {string} turn
 * @property {string} agent
 * @property {string} model  what the state line calls it
 * @property {"connecting" | "waiting" | "thinking" | "answering" | "done" | "stopped" | "failed"} state
 * @property {string} text
 * @property {string} reasoning
 * @property {number} began
 * @property {number} [thought]  when the reasoning began
 * @property {number} [first]  when the text began
 * @property {number} [ended]
 * @property {number} pieces
 * @property {number} [totalTokens]
 * @property {string} [finishReason]
 * @property {string} [reason]  why it was stopped
 * @property {Failure} [failure]
 */

/** Something that goes along with a question as context. @typedef {{ label: string, text: string }} Attachment */

/** @typedef {{ role: "user", text: string, attached?: Attachment[] }} Question */

/**
 * @typedef {object} Chat
 * @property {string} id
 * @property {string} agent
 * @property {number} updated
 * @property {(Question | Answer)[]} messages
 */

/**
 * @param {string} agent
 * @returns {Chat}
 */
export function newChat(agent) {
  return { id: newId(), agent, updated: Date.now(), messages: [] };
}

/**
 * @param {{ id: string, model: string }} agent
 * @returns {Answer}
 */
export function newAnswer({ id, model }) {
  const answer = { role: /** @type {const} */ ("assistant"), turn: newId(), agent: id, model, began: Date.now() };
  return { ...answer, state: "connecting", text: "", reasoning: "", pieces: 0 };
}

/** A name that no other chat or turn has; crypto.randomUUID would need HTTPS. */
export function newId() {
  return Array.from(crypto.getRandomValues(new Uint8Array(12)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** @param {Answer} answer */
export function isRunning(answer) {
  return !["done", "stopped", "failed"].includes(answer.state);
}

/**
 * Take an event into an answer. Returns whether it meant anything: after its end an answer never changes.
 * @param {Answer} answer
 * @param {TurnEvent} event
 */
export function take(answer, event) {
  if (!isRunning(answer)) return false;
  const now = Date.now();
  switch (event.type) {
    case "open":
      if (answer.state === "connecting") answer.state = "waiting";
      return true;
    case "reasoning":
      answer.thought ??= now;
      if (answer.state !== "answering") answer.state = "thinking";
      answer.reasoning += event.content;
      return true;
    case "token":
      answer.first ??= now;
      answer.state = "answering";
      answer.text += event.content;
      answer.pieces++;
      return true;
    case "done":
      Object.assign(answer, { state: "done", ended: now });
      answer.totalTokens = event.totalTokens;
      answer.finishReason = event.finishReason;
      return true;
    case "error": {
      const { code, message, retryAfter } = event;
      Object.assign(answer, { state: "failed", ended: now });
      answer.failure = retryAfter === undefined ? { code, message } : { code, message, retryAfter };
      return true;
    }
    case "stopped":
      Object.assign(answer, { state: "stopped", ended: now });
      if (event.reason) answer.reason = event.reason;
      return true;
    default:
      return false;
  }
}

/**
 * What was said before, as the model should hear it: each question with its last answer that has text.
 * @param {Chat["messages"]} messages
 * @returns {Said[]}
 */
export function history(messages) {
  /** @type {Said[]} */
  const said = [];
  let asked = "";
  for (const message of messages) {
    if (message.role === "user") {
      asked = message.text;
    } else if (message.text.trim()) {
      if (asked) said.push({ role: "user", content: asked });
      else said.pop(); // another attempt at the same question
      said.push({ role: "assistant", content: message.text });
      asked = "";
    }
  }
  return said;
}

/** @param {Chat} chat */
export function title(chat) {
  const first = chat.messages.find((message) => message.role === "user");
  return first?.text.trim().split("\n")[0]?.slice(0, 80) || "New chat";
}
