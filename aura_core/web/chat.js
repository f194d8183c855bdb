// @ts-check
// A conversation as data: questions, answers and how they ended, and the history that is sent to the model.

import { beginning } from "./characters.js";

/** @typedef {import("./host-types.js").Failure} Failure */
/** @typedef {import("./host-types.js").Said} Said */
/** @typedef {import("./host-types.js").TurnEvent} TurnEvent */

/**
 * One answer. Times are in milliseconds; `pieces` counts token events.
 * @typedef {object} Answer
 * @property {"assistant"} role
 * @property {string} turn
 * @property {string} agent
 * @property {string} model  its name in the state line
 * @property {string} [provider]  who is asked
 * @property {number} [queued]  so many other answers use the browser's connections to the server
 * @property {string} [silent]  who was asked before and does not answer
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

/** An attachment, sent with every question of a chat as context. @typedef {{ label: string, text: string }} Attachment */

/**
 * A question; of its attachments only the name and the number of characters.
 * @typedef {{ text: string, attached?: { label: string, size: number }[] }} Question
 */

/**
 * One question with its one answer: the unit of storage. Turns with the same `after` are versions of each other: asked
 * again, or with an edited question.
 * @typedef {object} Turn
 * @property {string} id  names the turn in every event about it
 * @property {string} chat
 * @property {string} after  the turn before it; "" for a first one
 * @property {number} asked
 * @property {Question} question
 * @property {Answer} answer
 */

/**
 * The stored data of a chat besides its turns.
 * @typedef {object} Chat
 * @property {string} id
 * @property {string} agent  the agent of the last question
 * @property {string} title  the first line of its first question, or a name that the user chose
 * @property {number} updated
 * @property {string} last  the last turn of the version on display; "" before the first question
 * @property {boolean} [renamed]  the user chose the title
 * @property {Attachment[]} [attached]  sent with each question until removed
 * @property {number} [deleted]  when it was deleted; 0 or missing: it was not
 */

/**
 * @param {string} agent
 * @returns {Chat}
 */
export function newChat(agent) {
  return { id: newId(), agent, title: "", updated: Date.now(), last: "" };
}

/**
 * @param {Pick<Chat, "id" | "last">} chat
 * @param {Question} question
 * @param {{ id: string, model: string, provider?: string }} agent
 * @param {string} [after]
 * @returns {Turn}
 */
export function newTurn(chat, question, agent, after = chat.last) {
  const answer = newAnswer(agent);
  return { id: answer.turn, chat: chat.id, after, asked: answer.began, question, answer };
}

/**
 * @param {{ id: string, model: string, provider?: string }} agent
 * @returns {Answer}
 */
export function newAnswer({ id, model, provider }) {
  const answer = { role: /** @type {const} */ ("assistant"), turn: newId(), agent: id, model, began: Date.now() };
  return { ...answer, ...(provider ? { provider } : {}), state: "connecting", text: "", reasoning: "", pieces: 0 };
}

/** A unique id for a chat or turn; crypto.randomUUID would need HTTPS. */
export function newId() {
  return Array.from(crypto.getRandomValues(new Uint8Array(12)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** @param {Answer} answer */
export function isRunning(answer) {
  return !["done", "stopped", "failed"].includes(answer.state);
}

/**
 * Apply an event to an answer. Returns whether it had an effect: after its end an answer never changes.
 * @param {Answer} answer
 * @param {TurnEvent} event
 */
export function take(answer, event) {
  if (!isRunning(answer)) return false;
  const now = Date.now();
  switch (event.type) {
    case "open":
      if (answer.state === "connecting") answer.state = "waiting";
      delete answer.queued;
      return true;
    case "queued":
      answer.queued = event.others;
      return answer.state === "connecting";
    case "asking":
      if (answer.state === "connecting") answer.state = "waiting";
      answer.silent = answer.provider ?? "the first provider"; // a workflow's step knows only its agent
      answer.provider = answer.model = event.provider;
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
 * The history for the model: the turns whose answer has text.
 * @param {Turn[]} turns
 * @returns {Said[]}
 */
export function history(turns) {
  return turns
    .filter(({ answer }) => answer.text.trim())
    .flatMap(({ question, answer }) => [
      { role: "user", content: question.text },
      { role: "assistant", content: answer.text },
    ]);
}

/** The title of a chat without one: the beginning of the question's first line. @param {string} text */
export function titleOf(text) {
  return beginning(text.trim().split("\n", 1)[0] ?? "", 80);
}

/**
 * Who answers for an agent, and who is asked when that one does not.
 * @param {import("./host-types.js").Agent} agent
 */
export function behind({ provider, model, fallback = [] }) {
  const first = [provider, model].filter(Boolean).join(" · ");
  return fallback.length ? `${first}, then ${fallback.join(", ")}` : first;
}
