// The agents as language models: they stand in the model picker of VS Code's own Chat view, where the host has that (1.104).

import * as vscode from "vscode";
import { firstAgent } from "../../../aura_core/web/agents.js";
import { behind } from "../../../aura_core/web/chat.js";
import { about } from "../../../aura_core/web/error-advice.js";
import type { Said } from "../../../aura_core/web/host-types.js";
import type { Agent, Server } from "../server.js";

const VENDOR = "aura";
/** Tokens that a model takes and gives where the server does not know it; VS Code wants a number. */
const UNKNOWN = 32_768;
const GIVEN = 4096;
/** Approximate characters per token. */
const CHARACTERS = 4;

/** The part of the API of 1.104 that is used here; the types are those of 1.100. */
interface Information {
  id: string;
  name: string;
  family: string;
  version: string;
  detail: string;
  tooltip: string;
  maxInputTokens: number;
  maxOutputTokens: number;
  capabilities: { toolCalling: boolean; imageInput: boolean };
}

interface Message {
  role: vscode.LanguageModelChatMessageRole;
  content: readonly unknown[];
}

interface Provider {
  onDidChangeLanguageModelChatInformation: vscode.Event<void>;
  provideLanguageModelChatInformation(): Promise<Information[]>;
  provideLanguageModelChatResponse(
    model: Information,
    messages: readonly Message[],
    options: unknown,
    progress: vscode.Progress<vscode.LanguageModelTextPart>,
    token: vscode.CancellationToken,
  ): Promise<void>;
  provideTokenCount(model: Information, text: string | Message): Promise<number>;
}

type Registry = { registerLanguageModelChatProvider?: (vendor: string, provider: Provider) => vscode.Disposable };

export function registerModels(server: Server): vscode.Disposable {
  const { registerLanguageModelChatProvider: register } = vscode.lm as Registry;
  if (!register) return { dispose() {} }; // an older VS Code
  const changed = new vscode.EventEmitter<void>();
  const looking = server.onChange(() => changed.fire());
  const provider: Provider = {
    onDidChangeLanguageModelChatInformation: changed.event,
    provideLanguageModelChatInformation: async () => {
      const state = await server.look();
      return state.kind === "online" ? sound(state.agents).map(information) : [];
    },
    provideLanguageModelChatResponse: (model, messages, _, progress, token) => answer(server, model.id, messages, progress, token),
    provideTokenCount: async (_, text) => Math.ceil((typeof text === "string" ? text : textOf(text)).length / CHARACTERS),
  };
  return vscode.Disposable.from(changed, looking, register(VENDOR, provider));
}

/** The agents that can answer; the one to begin with comes first, as VS Code chooses the first. */
function sound(agents: Agent[]): Agent[] {
  const first = firstAgent(agents);
  return agents.filter(({ error }) => !error).sort((a, b) => Number(b.id === first) - Number(a.id === first));
}

function information(agent: Agent): Information {
  const { id, name, description, provider, contextTokens } = agent;
  return {
    id,
    name,
    family: provider ?? VENDOR,
    version: "1",
    detail: "Aura",
    tooltip: [description, behind(agent)].filter(Boolean).join("\n"),
    maxInputTokens: contextTokens ?? UNKNOWN,
    maxOutputTokens: GIVEN,
    // Aura runs no tools: VS Code does not offer the agents where it needs them.
    capabilities: { toolCalling: false, imageInput: false },
  };
}

async function answer(
  server: Server,
  agent: string,
  messages: readonly Message[],
  progress: vscode.Progress<vscode.LanguageModelTextPart>,
  token: vscode.CancellationToken,
): Promise<void> {
  const said = messages.map((message): Said => ({ role: message.role === ASSISTANT ? "assistant" : "user", content: textOf(message) }));
  const prompt = said.pop()?.content ?? "";
  const abort = new AbortController();
  const cancelled = token.onCancellationRequested(() => abort.abort());
  let failure = "";
  await server
    .turn(
      { agent, prompt, history: said.filter(({ content }) => content.trim()) },
      (event) => {
        if (event.type === "token") progress.report(new vscode.LanguageModelTextPart(event.content));
        else if (event.type === "error") failure = `${about(event.code).title}. ${event.message}`;
      },
      abort.signal,
    )
    .finally(() => cancelled.dispose());
  if (failure) throw new Error(failure);
}

const ASSISTANT = vscode.LanguageModelChatMessageRole.Assistant;

function textOf({ content }: Message): string {
  return content.map((part) => (part instanceof vscode.LanguageModelTextPart ? part.value : "")).join("");
}
