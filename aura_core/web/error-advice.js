// @ts-check
// For each error code: its meaning for the user, how to resolve it, and whether a retry can help.

/** @typedef {{ title: string, todo: string, retry: boolean }} Advice */

/** @type {Record<string, Advice>} */
export const CODES = {
  // From the provider, through Aura.
  unavailable: advice("The model cannot be reached", "Is the provider's server running? Wait a moment and retry.", true),
  timeout: advice("The model took too long", "It may still be loading, or be busy. Retry.", true),
  rate_limited: advice("Too many requests", "Wait before you send the next one.", true),
  interrupted: advice("The answer was interrupted", "The text received so far is kept above. Retry for a complete answer.", true),
  auth: advice("The provider refused the key", "The operator must check the provider's key; `aura doctor` names it."),
  quota_exceeded: advice("The provider's quota is used up", "The operator must check the provider's plan and billing."),
  model_not_found: advice("The provider does not have this model", "Pull the model, or name another one in the agent file."),
  context_length: advice("This is too long for the model", "Start a new chat, or send less."),
  content_filtered: advice("The provider refused this content", "Rephrase the message."),
  bad_request: advice("The provider refused the request", "The agent's options may not suit the model."),
  bad_response: advice("The provider sent an invalid response", "Is the provider's address right?"),
  llm_error: advice("The provider failed", "Its log or Aura's log has details."),
  server_shutdown: advice("Aura is shutting down", "Retry when it is back.", true),
  // From Aura, before the answer starts.
  unauthorized: advice("This server requires a token", "Enter the token, then retry.", true),
  client_limit: advice("You have too many answers at once", "Stop one, or wait until one has ended. Then retry.", true),
  too_many_streams: advice("Aura is busy", "Other answers are running. Retry in a moment.", true),
  request_timeout: advice("The request did not arrive in time", "The connection may be slow. Retry.", true),
  agent_not_found: advice("This agent no longer exists", "Choose another one."),
  agent_invalid: advice("This agent's file is invalid", "Correct the file; Aura reloads it automatically."),
  provider_not_installed: advice("This agent's provider is not installed", "The operator must install its plugin."),
  provider_misconfigured: advice("This agent's provider is not configured", "`aura doctor` shows what is missing."),
  payload_too_large: advice("This is too much for one request", "Start a new chat, or send less."),
  headers_too_large: advice("The request was refused", "Something between this page and Aura adds too many headers."),
  invalid_request: advice("The request was refused", "This page and the server may have different versions: reload."),
  misdirected_host: advice("Aura does not answer under this name", "Add it to allowed_hosts in aura.toml."),
  forbidden_origin: advice("Aura does not accept requests from this page", "Add its origin to allowed_origins in aura.toml."),
  unsupported_media_type: advice("The request was refused", "Something between this page and Aura changed it."),
  streaming_not_supported: advice("This agent cannot stream", "Reload: the list of agents is out of date."),
  not_found: advice("No Aura server at this address", "Check the server's address."),
  method_not_allowed: advice("No Aura server at this address", "Check the server's address."),
  internal_error: advice("Aura failed", "Its log has details."),
  // Detected by this client.
  wrong_token: advice("The server does not accept this token", "Enter the token that the server has now, then retry.", true),
  unreachable: advice("Aura cannot be reached", "Is `aura serve` running? Start it and retry.", true),
  connection_lost: advice("The connection was lost", "The text received so far is kept above. Retry.", true),
  not_aura: advice("The response did not come from Aura", "Another program responded, such as a proxy or a login page."),
};

/**
 * Advice for any code, including unknown ones.
 * @param {string} code
 * @returns {Advice}
 */
export function about(code) {
  return (Object.hasOwn(CODES, code) && CODES[code]) || advice("The request failed", "The server's log may have details.");
}

/** Texts for answers that did not end by themselves. @type {Record<string, string>} */
const ENDINGS = {
  length: "Cut off: the token limit was reached (max_tokens in the agent file).",
  content_filter: "Cut off by the provider's content filter.",
  tool_calls: "The model requested tool calls, which Aura does not run.",
};

/** Texts for answers without any text. @type {Record<string, string>} */
const EMPTY = {
  stop: "The model ended its answer without any text.",
  length: "No text: the token limit was reached before the answer started (max_tokens in the agent file).",
  content_filter: "No text: the provider's content filter blocked the answer.",
  tool_calls: "No text: the model only requested tool calls, which Aura does not run.",
};

/**
 * How an answer that did not fail has ended; "" if it ended normally.
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
