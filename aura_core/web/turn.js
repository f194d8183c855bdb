// @ts-check
// Send a prompt to an agent and report the turn as a list of events with exactly one end.

import { COMMENT, SseParser } from "./sse.js";

/** @typedef {import("./host-types.js").TurnEvent} TurnEvent */

/**
 * @typedef {object} Question
 * @property {string} url  of the server; "" is the page's own
 * @property {string} agent
 * @property {boolean} [streaming]  false: the agent cannot stream, so the complete answer is requested
 * @property {{ prompt: string, conversationHistory?: import("./host-types.js").Said[], additionalContext?: string }} body
 * @property {Record<string, string>} [headers]
 */

/** Milliseconds without a byte after which a connection counts as dead, if the server does not send its heartbeat interval. */
export const SILENCE = 45_000;
/** Three times the server's heartbeat, but no less than this. */
const LEAST_SILENCE = 10_000;
/**
 * Milliseconds after a silence in which buffered data is read. After a suspension (SIGSTOP, a suspended laptop) timers fire
 * first.
 */
const READ_FIRST = 1000;

/**
 * One turn: one POST, one AbortController. A request is never repeated, except that an agent which turns out not to stream
 * gets a second one for the complete answer.
 * @param {Question} question
 * @param {(event: TurnEvent) => void} emit  receives events up to `done`, `error` or `stopped`, which is always the last
 * @param {{ signal: AbortSignal, silence?: number, fetch?: typeof fetch }} options
 */
export async function runTurn(question, emit, { signal, silence: given, fetch = globalThis.fetch }) {
  let silence = given ?? SILENCE;
  const abort = new AbortController();
  const stop = () => abort.abort();
  signal.addEventListener("abort", stop);
  if (signal.aborted) stop();
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let watchdog;
  let began = false;
  let silent = false;
  const alive = () => {
    clearTimeout(watchdog);
    watchdog = setTimeout(() => (watchdog = setTimeout(giveUp, READ_FIRST)), silence);
  };
  const giveUp = () => {
    silent = true;
    stop();
  };
  try {
    if (question.streaming !== false) {
      alive();
      const response = await post(fetch, question, "chat/stream", abort.signal);
      silence = given ?? silenceOf(response);
      const refused = await refusal(response, "text/event-stream");
      if (refused?.code !== "streaming_not_supported") {
        began = !refused;
        if (refused) emit(refused);
        else await follow(response, emit, alive, abort.signal);
        return;
      }
      clearTimeout(watchdog); // a complete answer comes without heartbeats
    }
    emit({ type: "open" }); // the response comes together with the answer: until then the user waits for the model
    const response = await post(fetch, question, "chat", abort.signal);
    began = true;
    await whole(response, emit);
  } catch (error) {
    if (signal.aborted) emit({ type: "stopped" });
    else if (silent) emit(lost(`The server has been silent for ${Math.round(silence / 1000)} s.`));
    else if (began) emit(lost(`The connection was lost (${reason(error)}).`));
    else emit({ type: "error", code: "unreachable", message: `No connection to the server (${reason(error)}).` });
  } finally {
    clearTimeout(watchdog);
    signal.removeEventListener("abort", stop);
    stop(); // close whatever is still open
  }
}

/**
 * The silence limit in milliseconds, from the server's heartbeat in seconds.
 * @param {Response} response
 */
function silenceOf(response) {
  const heartbeat = Number(response.headers.get("aura-heartbeat"));
  return heartbeat > 0 ? Math.max(3000 * heartbeat, LEAST_SILENCE) : SILENCE;
}

/**
 * @param {typeof globalThis.fetch} fetch
 * @param {Question} question
 * @param {string} route
 * @param {AbortSignal} signal
 */
function post(fetch, { url, agent, body, headers }, route, signal) {
  return fetch(`${url}/api/agents/${encodeURIComponent(agent)}/${route}`, {
    method: "POST",
    headers: { ...headers, "content-type": "application/json" },
    body: JSON.stringify(body),
    signal,
    cache: "no-store",
    redirect: "error",
  });
}

/**
 * Check status and content type first: anything but an answer is a failure, in the server's own words if it has any.
 * @param {Response} response
 * @param {string} wanted  its content type
 * @returns {Promise<Extract<TurnEvent, { type: "error" }> & { partial?: string } | null>}
 */
export async function refusal(response, wanted) {
  const type = response.headers.get("content-type")?.split(";")[0]?.trim().toLowerCase() ?? "";
  if (response.ok && type === wanted) return null;
  if (type !== "application/problem+json") {
    const what = `It responded with status ${response.status} and ${type || "no content type"}.`;
    return { type: "error", code: "not_aura", message: what };
  }
  const problem = await response.json();
  const after = Number(response.headers.get("retry-after") ?? NaN);
  return {
    type: "error",
    code: String(problem.code ?? "not_aura"),
    message: String(problem.detail ?? problem.title ?? `HTTP ${response.status}`),
    ...(Number.isFinite(after) ? { retryAfter: after } : {}),
    ...(typeof problem.partial === "string" ? { partial: problem.partial } : {}),
  };
}

/**
 * Read a stream up to its terminal event.
 * @param {Response} response
 * @param {(event: TurnEvent) => void} emit
 * @param {() => void} alive  called for every received chunk, including comments
 * @param {AbortSignal} signal  of the request
 */
async function follow(response, emit, alive, signal) {
  emit({ type: "open" });
  const parser = new SseParser();
  const reader = /** @type {ReadableStream<Uint8Array>} */ (response.body).getReader();
  // The fetch of Node 20 (VS Code 1.100) holds what listens to the signal weakly: after a garbage collection an abort
  // alone would leave the connection open.
  signal.addEventListener("abort", () => void reader.cancel().catch(() => {}), { once: true });
  for (;;) {
    const { done, value } = await reader.read();
    signal.throwIfAborted();
    if (done) return emit(lost("The stream ended in the middle of the answer."));
    alive();
    for (const { name, data } of parser.push(value)) {
      const event = decode(name, data);
      if (!event) continue;
      emit(event);
      if (event.type === "done" || event.type === "error") return drain(reader);
    }
  }
}

/**
 * Read the end of the response after the terminal event, so that the connection can be reused.
 * @param {ReadableStreamDefaultReader<Uint8Array>} reader
 */
async function drain(reader) {
  const enough = setTimeout(() => void reader.cancel().catch(() => {}), 1000);
  while (!(await reader.read().catch(() => ({ done: true }))).done);
  clearTimeout(enough);
}

/**
 * @param {string} name
 * @param {string} data
 * @returns {TurnEvent | null} null for events that this client does not know
 */
function decode(name, data) {
  if (name === COMMENT) {
    const [word, provider = ""] = data.slice(0, 200).split(" ");
    return word === "asking" && provider ? { type: "asking", provider } : null;
  }
  if (!["token", "reasoning", "done", "error"].includes(name)) return null;
  const value = JSON.parse(data);
  if (name === "token" || name === "reasoning") return { type: name, content: String(value.content) };
  if (name === "done") {
    return { type: name, totalTokens: Number(value.totalTokens) || 0, finishReason: String(value.finishReason) };
  }
  const failure = { code: String(value.code), message: String(value.message) };
  const after = typeof value.retryAfter === "number" ? { retryAfter: value.retryAfter } : {};
  return { type: "error", ...failure, ...after };
}

/**
 * @param {Response} response
 * @param {(event: TurnEvent) => void} emit
 */
async function whole(response, emit) {
  const refused = await refusal(response, "application/json");
  if (refused) {
    const { partial, ...failure } = refused;
    if (partial) emit({ type: "token", content: partial });
    emit(failure);
    return;
  }
  const { content, totalTokens, finishReason } = await response.json();
  if (content) emit({ type: "token", content: String(content) });
  emit({ type: "done", totalTokens: Number(totalTokens) || 0, finishReason: String(finishReason) });
}

/**
 * @param {string} message
 * @returns {TurnEvent}
 */
function lost(message) {
  return { type: "error", code: "connection_lost", message };
}

/** @param {unknown} error */
function reason(error) {
  return error instanceof Error ? error.message : String(error);
}
