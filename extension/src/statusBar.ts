// The status bar's item: is Aura there, how many agents has it, and does an answer run.

import * as vscode from "vscode";
import type { ServerState } from "./server.js";

export class StatusBar implements vscode.Disposable {
  #item = vscode.window.createStatusBarItem("aura.status", vscode.StatusBarAlignment.Right, 100);
  #state: ServerState = { kind: "looking" };
  #busy = 0;

  constructor() {
    this.#item.name = "Aura";
    this.#item.command = "aura.showMenu";
    this.#show();
    this.#item.show();
  }

  set state(state: ServerState) {
    this.#state = state;
    this.#show();
  }

  set busy(busy: number) {
    this.#busy = busy;
    this.#show();
  }

  dispose(): void {
    this.#item.dispose();
  }

  #show(): void {
    const { text, tooltip } = describe(this.#state, this.#busy);
    this.#item.text = text;
    this.#item.tooltip = tooltip;
    this.#item.accessibilityInformation = { label: `${text.replace(/\$\([^)]*\)\s*/, "")}. ${tooltip}`, role: "button" };
  }
}

/** The words of the item. */
export function describe(state: ServerState, busy: number): { text: string; tooltip: string } {
  if (busy) {
    const what = busy === 1 ? "An answer is" : `${busy} answers are`;
    return { text: "$(sync~spin) Aura", tooltip: `${what} being written` };
  }
  if (state.kind === "looking") return { text: "$(ellipsis) Aura", tooltip: "Looking for the server" };
  if (state.kind === "offline") {
    const locked = state.failure.code === "unauthorized";
    return { text: locked ? "$(key) Aura: token" : "$(debug-disconnect) Aura: offline", tooltip: state.failure.message };
  }
  const broken = state.agents.filter(({ error }) => error).length;
  const agents = state.agents.length === 1 ? "1 agent" : `${state.agents.length} agents`;
  return { text: `$(comment) Aura: ${agents}`, tooltip: broken ? `Connected; ${broken} of them in error` : "Connected" };
}
