// `@aura` in VS Code's own Chat view: asks an agent of the server; `/agent NAME` chooses it for the conversation.

import * as vscode from "vscode";
import { firstAgent } from "../../../aura_core/web/agents.js";
import { about } from "../../../aura_core/web/error-advice.js";
import type { Said } from "../../../aura_core/web/host-types.js";
import { file, selectedIn } from "../attach.js";
import { LOCKED, GONE } from "../failures.js";
import type { Agent, Failure, Server } from "../server.js";

const ID = "aura.participant";

/** The command that chooses an agent: a participant's commands are static, so that the name is its argument. */
const CHOOSE = "agent";

/** What a result keeps for the next question. */
interface Kept {
  agent?: string;
}

export function registerParticipant(server: Server, icon: vscode.Uri): vscode.Disposable {
  const participant = vscode.chat.createChatParticipant(ID, (...asked) => answer(server, ...asked));
  participant.iconPath = icon;
  return participant;
}

async function answer(
  server: Server,
  { prompt, command, references }: vscode.ChatRequest,
  { history }: vscode.ChatContext,
  response: vscode.ChatResponseStream,
  token: vscode.CancellationToken,
): Promise<vscode.ChatResult> {
  const state = await server.look();
  if (state.kind !== "online") return state.kind === "offline" ? failed(state.failure, response, {}) : {};
  const { agents } = state;
  const [name, question] = command === CHOOSE ? split(prompt) : ["", prompt];
  const agent = agents.find(({ id }) => id === (command === CHOOSE ? name : chosen(history))) ?? (name ? undefined : byDefault(agents));
  if (!agent || (command === CHOOSE && !name)) {
    response.markdown(`${name ? `The server has no agent \`${name}\`. ` : ""}Choose one with \`/${CHOOSE} NAME\`:\n\n${list(agents)}`);
    return { metadata: { agent: chosen(history) } };
  }
  const metadata: Kept = { agent: agent.id };
  if (!question) {
    response.markdown(`${agent.name} answers from now on.`);
    return { metadata };
  }
  return ask(server, { agent: agent.id, prompt: question, history: said(history), context: await context(references) }, response, token, metadata);
}

async function ask(
  server: Server,
  asked: Parameters<Server["turn"]>[0],
  response: vscode.ChatResponseStream,
  token: vscode.CancellationToken,
  metadata: Kept,
): Promise<vscode.ChatResult> {
  const abort = new AbortController();
  const cancelled = token.onCancellationRequested(() => abort.abort());
  let failure: Failure | undefined;
  const receive: Parameters<Server["turn"]>[1] = (event) => {
    if (event.type === "token") response.markdown(event.content);
    else if (event.type === "asking") response.progress(`Asking ${event.provider}`);
    else if (event.type === "error") failure = event;
  };
  await server.turn(asked, receive, abort.signal).finally(() => cancelled.dispose());
  return failure ? failed(failure, response, metadata) : { metadata };
}

/** The failure in words, with the buttons that help. */
function failed({ code, message }: Failure, response: vscode.ChatResponseStream, metadata: Kept): vscode.ChatResult {
  const { title, todo } = about(code);
  if (GONE.includes(code)) response.button({ command: "aura.startServer", title: "Start Aura" });
  if (LOCKED.includes(code)) response.button({ command: "aura.setToken", title: "Set Token" });
  return { errorDetails: { message: `${title}. ${message} ${todo}` }, metadata };
}

function byDefault(agents: Agent[]): Agent | undefined {
  return agents.find(({ id }) => id === firstAgent(agents));
}

function list(agents: Agent[]): string {
  return agents.map(({ id, description, error }) => `- \`${id}\` ${error ? `(invalid: ${error})` : description}`).join("\n");
}

function split(prompt: string): [name: string, rest: string] {
  const [name = ""] = prompt.trim().split(/\s/, 1);
  return [name, prompt.trim().slice(name.length).trim()];
}

type History = vscode.ChatContext["history"];

/** The agent of the last answer. */
function chosen(history: History): string {
  const last = history.filter((turn) => turn instanceof vscode.ChatResponseTurn).at(-1);
  return (last?.result.metadata as Kept | undefined)?.agent ?? "";
}

/** The questions and answers before: those with a text. */
function said(history: History): Said[] {
  const found: Said[] = [];
  let question = "";
  for (const turn of history) {
    if (turn.participant !== ID) continue;
    if (turn instanceof vscode.ChatRequestTurn) {
      question = turn.command === CHOOSE ? split(turn.prompt)[1] : turn.prompt;
    } else if (question) {
      const parts = turn.response.map((part) => (part instanceof vscode.ChatResponseMarkdownPart ? part.value.value : ""));
      if (parts.join("").trim()) found.push({ role: "user", content: question }, { role: "assistant", content: parts.join("") });
    }
  }
  return found;
}

/** What the user has attached to the question in VS Code's own way. */
async function context(references: readonly vscode.ChatPromptReference[]): Promise<string> {
  const found = await Promise.all(
    references.map(async ({ value }) => {
      if (value instanceof vscode.Uri) return file(value);
      if (value instanceof vscode.Location) return selectedIn(await vscode.workspace.openTextDocument(value.uri), value.range);
      return typeof value === "string" ? { label: "", text: value } : { refused: "" };
    }),
  );
  return found.flatMap((one) => ("text" in one ? [one.text] : [])).join("\n\n");
}
