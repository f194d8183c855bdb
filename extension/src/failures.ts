// The error codes for which the extension has a remedy.

/** The server does not answer. */
export const GONE = ["unreachable", "connection_lost", "server_shutdown"];
/** It wants a token, or another one. */
export const LOCKED = ["unauthorized", "wrong_token"];
/** Another program answers. */
export const STRANGE = ["not_aura", "not_found", "method_not_allowed"];
