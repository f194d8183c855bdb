// Context for a question: the selection, a file, or the problems of a file, each with its name and its place.

import * as vscode from "vscode";
import type { Mentioned } from "../../aura_core/web/host-types.js";
import { fenced } from "./fence.js";

/** Characters of one attachment; more would not fit most models. */
const MOST = 200_000;
/** Problems of one attachment. */
const MOST_PROBLEMS = 100;

export function selection(editor: vscode.TextEditor | undefined): Mentioned {
  if (!editor || editor.selection.isEmpty) return { refused: "Select something in an editor first." };
  return selectedIn(editor.document, editor.selection);
}

export function selectedIn(document: vscode.TextDocument, selection: vscode.Range): Mentioned {
  const name = vscode.workspace.asRelativePath(document.uri);
  const first = selection.start.line + 1;
  const last = selection.end.line + (selection.end.character === 0 && selection.end.line > selection.start.line ? 0 : 1);
  const lines = first === last ? `line ${first}` : `lines ${first} to ${last}`;
  const label = first === last ? `${name}:${first}` : `${name}:${first}-${last}`;
  return bounded(label, `From ${name}, ${lines}:`, document.getText(selection), document.languageId);
}

/** The file to attach: the given one, the one in the editor, or one chosen in a dialog. */
export async function chosenFile(chosen: vscode.Uri | undefined): Promise<vscode.Uri | undefined> {
  const uri = chosen ?? vscode.window.activeTextEditor?.document.uri;
  return uri ?? (await vscode.window.showOpenDialog({ title: "Add File to Chat", openLabel: "Add" }))?.[0];
}

export async function file(uri: vscode.Uri): Promise<Mentioned> {
  const name = vscode.workspace.asRelativePath(uri);
  if (/\.(?:png|jpe?g|gif|webp|bmp|ico|svgz|tiff?|heic|avif)$/i.test(name)) return { refused: `Agents take text: the image ${name} was not attached.` };
  try {
    const document = await vscode.workspace.openTextDocument(uri);
    return bounded(name, `The file ${name}:`, document.getText(), document.languageId);
  } catch {
    return { refused: `${name} cannot be added: it is not a text file.` };
  }
}

/** What VS Code shows as problems: of the file in the editor, or else of all files. */
export function problems(editor: vscode.TextEditor | undefined): Mentioned {
  const own = editor ? vscode.languages.getDiagnostics(editor.document.uri) : [];
  const all = own.length && editor ? [[editor.document.uri, own] as const] : vscode.languages.getDiagnostics();
  const lines = all.flatMap(([uri, diagnostics]) => diagnostics.map((diagnostic) => inWords(uri, diagnostic)));
  if (lines.length === 0) return { refused: "VS Code shows no problems." };
  const left = lines.length - MOST_PROBLEMS;
  const shown = lines.slice(0, MOST_PROBLEMS).concat(left > 0 ? `and ${left} more` : []);
  return bounded(lines.length === 1 ? "1 problem" : `${lines.length} problems`, "Problems that the editor shows:", shown.join("\n"), "plaintext");
}

function inWords(uri: vscode.Uri, { range, message, severity }: vscode.Diagnostic): string {
  const kind = ["error", "warning", "information", "hint"][severity] ?? "problem";
  return `${vscode.workspace.asRelativePath(uri)}:${range.start.line + 1}:${range.start.character + 1}: ${kind}: ${message}`;
}

function bounded(label: string, title: string, text: string, language: string): Mentioned {
  if (text.length > MOST) {
    const size = Math.round(text.length / 1000);
    return { refused: `${label} has ${size},000 characters; up to ${MOST / 1000},000 can be added. Select a part.` };
  }
  return { label, text: `${title}\n\n${fenced(text, language)}` };
}
