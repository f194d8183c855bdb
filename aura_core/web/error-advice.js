// @ts-check
// What each error code means to the person who asked, what to do about it, and whether asking again can help.

/** @typedef {{ title: string, todo: string, retry: boolean }} Advice */

/** @type {Record<string, Advice>} */
export const CODES = {
  // From the provider, through Aura.
  unavailable: advice("The model cannot be reached", "Is the provider's server running? Wait a moment and retry.", true),
  timeout: advice("The model took too long", "It may still be loading, or be busy. Retry.", true),
  rate_limited: advice("Too many requests", "The provider asks to wait before the next one.", true),
  interrupted: advice("The answer broke off", "What came so far is kept above. Retry for a whole one.", true),
  auth: advice("The provider refused the key", "The operator checks the provider's key; `aura doctor` says which."),
  quota_exceeded: advice("The provider's quota is used up", "The operator checks the plan and billing there."),
  model_not_found: advice("The provider does not have this model", "Pull the model, or name another in the agent's file."),
  context_length: advice("This is too long for the model", "Start a new chat, or send less."),
  content_filtered: advice("The provider refused this content", "Say it in other words."),
  bad_request: advice("The provider refused the request", "The agent's options may not suit the model."),
  bad_response: advice("The answer made no sense", "Does the provider's address lead to the right server?"),
  llm_error: advice("The provider failed", "Its log, or Aura's, says more."),
  server_shutdown: advice("Aura is shutting down", "Retry when it is back.", true),
  // From Aura, before the answer begins.
  unauthorized: advice("This server wants a token", "Enter the token, then retry.", true),
  too_many_streams: advice("Aura is busy", "Other answers are running. Retry in a moment.", true),
  request_timeout: advice("The request did not arrive in time", "The connection may be slow. Retry.", true),
  agent_not_found: advice("This agent is gone", "Choose another one."),
  agent_invalid: advice("This agent's file is broken", "Mend the file; Aura reads it again by itself."),
  provider_not_installed: advice("This agent's provider is not installed", "The operator installs its plugin."),
  provider_misconfigured: advice("This agent's provider is not set up", "`aura doctor` says what is missing."),
  payload_too_large: advice("This is too much for one request", "Start a new chat, or send less."),
  headers_too_large: advice("The request was refused", "Something between here and Aura adds too many headers."),
  invalid_request: advice("The request was refused", "This page and the server may be of different versions: reload."),
  misdirected_host: advice("Aura does not answer under this name", "Add it to allowed_hosts in aura.toml."),
  forbidden_origin: advice("Aura does not answer to this page", "Add its origin to allowed_origins in aura.toml."),
  unsupported_media_type: advice("The request was refused", "Something between here and Aura changed it."),
  streaming_not_supported: advice("This agent cannot stream", "Reload: the list of agents is out of date."),
  not_found: advice("There is no Aura at this address", "Check the server's address."),
  method_not_allowed: advice("There is no Aura at this address", "Check the server's address."),
  internal_error: advice("Aura failed", "Its log says more."),
  // Seen from here.
  unreachable: advice("Aura cannot be reached", "Is `aura serve` running? Start it and retry.", true),
  connection_lost: advice("The connection was lost", "What came so far is kept above. Retry for a whole answer.", true),
  not_aura: advice("This was not Aura's answer", "Something else answered: a proxy, a login page?"),
};

/**
 * Advice for any code, an unknown one too.
 * @param {string} code
 * @returns {Advice}
 */
export function about(code) {
  return (Object.hasOwn(CODES, code) && CODES[code]) || advice("This did not work", "The server's log may say more.");
}

/** What to say where an answer ended otherwise than by itself. @type {Record<string, string>} */
const ENDINGS = {
  length: "Cut off: the limit of tokens is reached (max_tokens in the agent's file).",
  content_filter: "Cut off: the provider's content filter stepped in.",
  tool_calls: "The model wants to call tools; Aura runs none.",
};

/** What to say where an answer has no text at all. @type {Record<string, string>} */
const EMPTY = {
  stop: "The model ended its answer without a word.",
  length: "No text: the limit of tokens was used up before the answer began (max_tokens in the agent's file).",
  content_filter: "No text: the provider's content filter held the answer back.",
  tool_calls: "No text: the model only asked to call tools, and Aura runs none.",
};

/**
 * How an answer ended that did not fail, in the same words for all; "" where it ended as it should.
 * @param {import("./chat.js").Answer} answer
 */
export function ending({ state, text, finishReason = "stop", reason }) {
  if (state === "stopped") return reason ? `Stopped: ${reason}` : "Stopped";
  return (text.trim() ? ENDINGS[finishReason] : (EMPTY[finishReason] ?? EMPTY["stop"])) ?? "";
}

/**
 * @param {string} title
 * @param {string} todo
 * @returns {Advice}
 */
function advice(title, todo, retry = false) {
  return { title, todo, retry };
}
