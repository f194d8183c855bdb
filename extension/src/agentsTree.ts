// The tree of agents: their names, their providers, and their errors.

import * as vscode from "vscode";
import { behind } from "../../aura_core/web/chat.js";
import type { Agent, Server } from "./server.js";

export class AgentsTree implements vscode.TreeDataProvider<Agent> {
  #server;
  #changed = new vscode.EventEmitter<void>();
  readonly onDidChangeTreeData = this.#changed.event;

  constructor(server: Server) {
    this.#server = server;
    server.onChange(() => this.#changed.fire());
  }

  getChildren(parent?: Agent): Agent[] {
    return parent || this.#server.state.kind !== "online" ? [] : this.#server.state.agents;
  }

  getTreeItem(agent: Agent): vscode.TreeItem {
    const who = behind(agent);
    const item = new vscode.TreeItem(agent.name);
    item.id = agent.id;
    item.description = agent.error ?? who;
    item.tooltip = [agent.description, who, agent.error].filter(Boolean).join("\n");
    // Without it a screen reader would read the tooltip instead of the name.
    const words = [agent.name, who, agent.error ? `invalid: ${agent.error}` : agent.description].filter(Boolean);
    item.accessibilityInformation = { label: words.join(", ") };
    item.contextValue = "agent";
    const colour = new vscode.ThemeColor("list.errorForeground");
    item.iconPath = agent.error ? new vscode.ThemeIcon("error", colour) : new vscode.ThemeIcon("comment");
    item.command = { command: "aura.chatWith", title: "Chat with This Agent", arguments: [agent] };
    return item;
  }
}
