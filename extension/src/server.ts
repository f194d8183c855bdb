// The connection to the Aura server: whether it is reachable, its agents, and a turn with one of them.

import { isRunning } from "../../aura_core/web/chat.js";
import type { Agent, Failure, TurnEvent } from "../../aura_core/web/host-types.js";
import { refusal, runTurn } from "../../aura_core/web/turn.js";
import { lenientFetch } from "./lenientFetch.js";

export type { Agent, Failure, TurnEvent };
export { isRunning };

export type ServerState =
  | { kind: "looking" }
  | { kind: "online"; agents: Agent[] }
  | { kind: "offline"; failure: Failure };

export interface Asked {
  agent: string;
  prompt: string;
  history?: { role: "user" | "assistant"; content: string }[];
  context?: string;
}

export interface ServerOptions {
  /** The address from the setting. */
  url: () => string;
  token: (origin: string) => Promise<string | undefined>;
  log: (line: string) => void;
  /** Whether the server's certificate is verified; default: yes. */
  strict?: () => boolean;
  /** Timeout for the list of agents, in milliseconds. */
  patience?: number;
}

export class Server {
  state: ServerState = { kind: "looking" };
  #options;
  #listeners = new Set<(state: ServerState) => void>();
  #looking: Promise<ServerState> | undefined;

  constructor(options: ServerOptions) {
    this.#options = options;
  }

  /** The address as it is set, which may be none. */
  get address(): string {
    return this.#options.url();
  }

  get origin(): string {
    return origin(this.#options.url());
  }

  onChange(listener: (state: ServerState) => void): { dispose(): void } {
    this.#listeners.add(listener);
    return { dispose: () => this.#listeners.delete(listener) };
  }

  /** Fetch the agents; this also warms up the connection. Concurrent calls share one request. */
  look(): Promise<ServerState> {
    this.#looking ??= this.#look().finally(() => (this.#looking = undefined));
    return this.#looking;
  }

  /** Reset the state, because the address or the token has changed. */
  async lookAgain(): Promise<ServerState> {
    await this.#looking;
    return this.look();
  }

  async #look(): Promise<ServerState> {
    const before = JSON.stringify(this.state);
    this.state = await this.#ask();
    if (JSON.stringify(this.state) !== before) {
      const { state } = this;
      if (state.kind === "online") this.#options.log(`${this.#options.url()}: ${state.agents.length} ${state.agents.length === 1 ? "agent" : "agents"}`);
      if (state.kind === "offline") this.#options.log(`${this.#options.url()}: ${state.failure.message}`);
      for (const listener of this.#listeners) listener(state);
    }
    return this.state;
  }

  async #ask(): Promise<ServerState> {
    try {
      const { origin } = this;
      const headers = await this.#headers(origin);
      const response = await this.#fetch(origin)(`${origin}/api/agents`, {
        headers,
        redirect: "error",
        signal: AbortSignal.timeout(this.#options.patience ?? 10_000),
      });
      const refused = await refusal(response, "application/json");
      if (refused) return { kind: "offline", failure: explained({ code: refused.code, message: refused.message }, headers) };
      const { agents } = (await response.json()) as { agents?: Agent[] };
      if (Array.isArray(agents)) return { kind: "online", agents };
      return { kind: "offline", failure: { code: "not_aura", message: "Its response was not a list of agents." } };
    } catch (error) {
      return { kind: "offline", failure: { code: "unreachable", message: reason(error) } };
    }
  }

  /**
   * One turn: events up to `done`, `error` or `stopped`, which is always the last. Aborting closes the connection. A turn
   * that contradicts what is known of the server, by failing or by succeeding, makes this look again.
   */
  async turn(asked: Asked, emit: (event: TurnEvent) => void, signal: AbortSignal): Promise<void> {
    const { agent, prompt, history = [], context = "" } = asked;
    const started = Date.now();
    let headers: Record<string, string> = {};
    const receive = (given: TurnEvent) => {
      const event = given.type === "error" ? explained(given, headers) : given;
      const end = event.type === "error" ? event.code : event.type;
      if (["done", "error", "stopped"].includes(event.type)) this.#options.log(`${agent}: ${end}, ${Date.now() - started} ms`);
      emit(event);
      if (event.type === "error" || (event.type === "done" && this.state.kind !== "online")) void this.lookAgain();
    };
    let url: string;
    try {
      url = this.origin;
      headers = await this.#headers(url);
    } catch (error) {
      receive({ type: "error", code: "unreachable", message: reason(error) });
      return;
    }
    const known = this.state.kind === "online" ? this.state.agents.find(({ id }) => id === agent) : undefined;
    const body = { prompt, conversationHistory: history, additionalContext: context };
    await runTurn({ url, agent, streaming: known?.streaming ?? true, body, headers }, receive, { signal, fetch: this.#fetch(url) });
  }

  #fetch(origin: string): typeof fetch {
    const strict = this.#options.strict?.() ?? true;
    return strict || !origin.startsWith("https:") ? fetch : lenientFetch;
  }

  async #headers(origin: string): Promise<Record<string, string>> {
    const token = await this.#options.token(origin);
    return token ? { authorization: `Bearer ${token}` } : {};
  }
}

/** A refusal, named for what the user can do about it: a token that was sent is wrong, not missing. */
function explained<F extends Failure>(failure: F, { authorization }: Record<string, string>): F {
  if (failure.code !== "unauthorized" || !authorization) return failure;
  return { ...failure, code: "wrong_token", message: "The token that is stored for this server is not the server's." };
}

/** Scheme, host and port of an address; anything else in it is an error. */
export function origin(address: string): string {
  const url = URL.canParse(address) ? new URL(address) : undefined;
  if (!url || !["http:", "https:"].includes(url.protocol)) {
    throw new Error(`'${address}' is not a server address; aura.server.url looks like http://127.0.0.1:5300`);
  }
  return url.origin;
}

function reason(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { cause } = error;
  // fetch reports only "fetch failed"; the cause has the details.
  return cause instanceof Error && cause.message ? `${error.message}: ${cause.message}` : error.message;
}
