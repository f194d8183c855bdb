// The status bar item: whether Aura is reachable, how many agents it has, and whether an answer is running.

import * as vscode from "vscode";
import { whose } from "./remote.js";
import type { ServerState } from "./server.js";

export class StatusBar implements vscode.Disposable {
  #item = vscode.window.createStatusBarItem("aura.status", vscode.StatusBarAlignment.Right, 100);
  #state: ServerState = { kind: "looking" };
  #busy = 0;
  #address;

  /** `address` is that of the server. */
  constructor(address: () => string) {
    this.#address = address;
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
    const { icon, text, tooltip } = describe(this.#state, this.#busy);
    this.#item.text = `$(${icon}) ${text}`;
    this.#item.tooltip = [tooltip, whose(this.#address())].filter(Boolean).join("\n");
    this.#item.accessibilityInformation = { label: `${text}. ${tooltip}`, role: "button" };
  }
}

/** The icon and text of the item. */
export function describe(state: ServerState, busy: number): { icon: string; text: string; tooltip: string } {
  if (busy) {
    const what = busy === 1 ? "An answer is" : `${busy} answers are`;
    return { icon: "sync~spin", text: "Aura", tooltip: `${what} being written` };
  }
  if (state.kind === "looking") return { icon: "ellipsis", text: "Aura", tooltip: "Connecting to the server" };
  if (state.kind === "offline") {
    const tooltip = state.failure.message;
    if (state.failure.code === "unauthorized") return { icon: "key", text: "Aura: token", tooltip };
    if (state.failure.code === "wrong_token") return { icon: "key", text: "Aura: wrong token", tooltip };
    return { icon: "debug-disconnect", text: "Aura: offline", tooltip };
  }
  const broken = state.agents.filter(({ error }) => error).length;
  const agents = state.agents.length === 1 ? "1 agent" : `${state.agents.length} agents`;
  return { icon: "comment", text: `Aura: ${agents}`, tooltip: broken ? `Connected; ${broken} of them invalid` : "Connected" };
}
