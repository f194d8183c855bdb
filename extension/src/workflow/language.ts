// Workflow files in the editor: errors as they are typed, and completion of keys, agents and inputs.

import { basename } from "node:path";
import * as vscode from "vscode";
import type { Server } from "../server.js";
import { agentProblems } from "./agents.js";
import { OF_FILE, OF_INPUT, OF_STEP, readWorkflow, type Problem } from "./file.js";

const PATTERN = "**/.aura/workflows/*.{yaml,yml}";
const SELECTOR: vscode.DocumentSelector = { pattern: PATTERN };
/** Milliseconds after the last key. */
const WAIT = 300;

/** What keys are for, as the schema says it. */
const ABOUT: Record<string, string> = {
  name: "the title",
  inputs: "what is asked for at the start; {{name}} in a prompt stands for the value",
  steps: "the steps, in this order",
  agent: "the id of an agent of the server",
  prompt: "the prompt; of an input: what is asked",
  default: "the value that is offered",
};

export function registerLanguage(server: Server): vscode.Disposable {
  const found = vscode.languages.createDiagnosticCollection("Aura workflows");
  const timers = new Map<string, ReturnType<typeof setTimeout>>();
  const check = (document: vscode.TextDocument) => {
    if (!vscode.languages.match(SELECTOR, document)) return;
    found.set(document.uri, diagnostics(document, server));
  };
  const soon = (document: vscode.TextDocument) => {
    const key = document.uri.toString();
    clearTimeout(timers.get(key));
    timers.set(key, setTimeout(() => check(document), WAIT));
  };
  const all = () => vscode.workspace.textDocuments.forEach(check);
  all();
  return vscode.Disposable.from(
    found,
    vscode.workspace.onDidOpenTextDocument(check),
    vscode.workspace.onDidChangeTextDocument(({ document }) => soon(document)),
    vscode.workspace.onDidCloseTextDocument(({ uri }) => found.delete(uri)),
    server.onChange(all),
    vscode.languages.registerCompletionItemProvider(SELECTOR, { provideCompletionItems: (document, at) => completions(server, document, at) }, " ", "{"),
    { dispose: () => timers.forEach(clearTimeout) },
  );
}

function diagnostics(document: vscode.TextDocument, server: Server): vscode.Diagnostic[] {
  const { workflow, problems } = readWorkflow(document.getText(), basename(document.uri.path));
  const mark = ({ line, message }: Problem, severity: vscode.DiagnosticSeverity) => {
    const { range, firstNonWhitespaceCharacterIndex } = document.lineAt(Math.min(line, document.lineCount) - 1);
    const marked = new vscode.Diagnostic(range.with(range.start.translate(0, firstNonWhitespaceCharacterIndex)), message, severity);
    marked.source = "Aura";
    return marked;
  };
  const { state } = server;
  // The server may be another one tomorrow.
  const agents = workflow && state.kind === "online" ? agentProblems(workflow.steps, state.agents) : [];
  return [
    ...problems.map((problem) => mark(problem, vscode.DiagnosticSeverity.Error)),
    ...agents.map((problem) => mark(problem, vscode.DiagnosticSeverity.Warning)),
  ];
}

function completions(server: Server, document: vscode.TextDocument, at: vscode.Position): vscode.CompletionItem[] {
  const before = document.lineAt(at).text.slice(0, Math.min(at.character, 1000));
  if (before.trimStart().replace(/^- */, "").startsWith("agent:")) {
    const agents = server.state.kind === "online" ? server.state.agents : [];
    return agents.map(({ id, name }) => item(id, vscode.CompletionItemKind.Value, name));
  }
  if (before.endsWith("{{")) {
    const text = document.getText();
    const { workflow } = readWorkflow(text, "");
    const names = workflow?.inputs.map(({ name }) => name) ?? namesOfInputs(text);
    return names.map((name) => item(name, vscode.CompletionItemKind.Variable, "an input", `${name}}}`));
  }
  if (!/^\s*(?:- *)?\w*$/.test(before)) return [];
  return keysAt(document, at, before).map((key) => {
    const open = key === "steps" || key === "inputs";
    return item(key, vscode.CompletionItemKind.Property, ABOUT[key], open ? `${key}:\n  - ` : `${key}: `);
  });
}

/** The keys that fit here: those of the list above, or at the margin those of the file. */
function keysAt(document: vscode.TextDocument, at: vscode.Position, before: string): string[] {
  if (!/^\s|^-/.test(before)) return OF_FILE;
  for (let line = at.line - 1; line >= 0; line--) {
    const { text } = document.lineAt(line);
    if (text.startsWith("steps:")) return OF_STEP;
    if (text.startsWith("inputs:")) return OF_INPUT;
  }
  return OF_FILE;
}

/** The names of the inputs in a file that is not valid yet, as it is being written. */
function namesOfInputs(text: string): string[] {
  const lines = text.slice(0, 100_000).split("\n");
  const start = lines.findIndex((line) => line.startsWith("inputs:"));
  const end = lines.findIndex((line, index) => index > start && /^\w/.test(line));
  const own = start < 0 ? [] : lines.slice(start + 1, end < 0 ? undefined : end);
  return own.flatMap((line) => line.trim().replace(/^- */, "").startsWith("name:") ? [line.slice(line.indexOf(":") + 1).trim()] : []); // prettier-ignore
}

function item(label: string, kind: vscode.CompletionItemKind, detail = "", text = label): vscode.CompletionItem {
  const completion = new vscode.CompletionItem(label, kind);
  completion.detail = detail;
  completion.insertText = text;
  return completion;
}
