// The earlier runs of a workflow: choose one to read it, or two to compare them; both as plain Markdown.

import * as vscode from "vscode";
import type { RunFile, RunStore } from "./store.js";

const SCHEME = "aura-run";

/** Runs in the list. */
const MOST = 100;

/** The text of each run that was opened, by its address. */
const texts = new Map<string, string>();

export function registerHistory(): vscode.Disposable {
  return vscode.workspace.registerTextDocumentContentProvider(SCHEME, {
    provideTextDocumentContent: (uri) => texts.get(uri.toString()) ?? "This run was opened earlier. Choose it under Runs again.",
  });
}

export async function showHistory(store: RunStore, workflow: string): Promise<void> {
  const items = [];
  for (const run of store.runs()) {
    items.push({ label: new Date(run.started).toLocaleString(), description: inWords(run), run });
    if (items.length === MOST) break;
  }
  if (items.length === 0) return void vscode.window.showInformationMessage(`${workflow} has not been run yet.`);
  const title = `Runs of ${workflow}`;
  const picked = await vscode.window.showQuickPick(items, { title, placeHolder: "Choose one to read it, or two to compare them", canPickMany: true });
  const [newer, older, ...others] = picked ?? [];
  if (!newer) return;
  if (others.length) return void vscode.window.showInformationMessage("Choose one run, or two.");
  if (!older) await vscode.window.showTextDocument(document(newer.run), { preview: false });
  else await vscode.commands.executeCommand("vscode.diff", document(older.run), document(newer.run), `${workflow}: ${older.label} ↔ ${newer.label}`);
}

function inWords({ steps, inputs = {} }: RunFile): string {
  const counts = (["done", "failed", "stopped"] as const).map((status) => [steps.filter((step) => step.status === status).length, status] as const);
  const ended = counts.filter(([count]) => count > 0).map(([count, status]) => `${count} ${status}`);
  const values = Object.values(inputs).map((value) => (value.length > 40 ? `${value.slice(0, 39)}…` : value));
  return [ended.join(", "), ...values].join(" · ");
}

function document(run: RunFile): vscode.Uri {
  const uri = vscode.Uri.from({ scheme: SCHEME, path: `/${run.workflow.replaceAll("/", "-")} ${run.started.replaceAll(":", "-")}.md` });
  texts.set(uri.toString(), asMarkdown(run));
  return uri;
}

export function asMarkdown({ workflow, started, inputs = {}, steps }: RunFile): string {
  const parts = [`# ${workflow}`, started];
  const given = Object.entries(inputs).map(([name, value]) => `- ${name}: ${value}`);
  if (given.length) parts.push(given.join("\n"));
  for (const [index, { name, agent, status, prompt, output, partial, error, reason }] of steps.entries()) {
    parts.push(`## ${index + 1}. ${name}`, `${agent}, ${status}${reason ? `: ${reason}` : ""}${error ? `: ${error.message}` : ""}`);
    parts.push(prompt.replace(/^/gm, "> "), output ?? partial ?? "");
  }
  return `${parts.join("\n\n").trimEnd()}\n`;
}
