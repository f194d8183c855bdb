// Attach a selection or a file to the chat as context, with its name and, for code, its lines.

import * as vscode from "vscode";
import type { Attachment } from "../../aura_core/web/chat.js";
import { fenced } from "./fence.js";

/** Characters of one attachment; more would not fit most models. */
const MOST = 200_000;

export function selection(editor: vscode.TextEditor | undefined): Attachment | undefined {
  if (!editor || editor.selection.isEmpty) {
    void vscode.window.showInformationMessage("Select something in an editor first.");
    return undefined;
  }
  const { document, selection } = editor;
  const name = vscode.workspace.asRelativePath(document.uri);
  const first = selection.start.line + 1;
  const last = selection.end.line + (selection.end.character === 0 && selection.end.line > selection.start.line ? 0 : 1);
  const lines = first === last ? `line ${first}` : `lines ${first} to ${last}`;
  const label = first === last ? `${name}:${first}` : `${name}:${first}-${last}`;
  return bounded(label, `From ${name}, ${lines}:`, document.getText(selection), document.languageId);
}

/** A file: the given one, the one in the editor, or one chosen in a dialog. */
export async function file(chosen: vscode.Uri | undefined): Promise<Attachment | undefined> {
  let uri = chosen ?? vscode.window.activeTextEditor?.document.uri;
  uri ??= (await vscode.window.showOpenDialog({ title: "Add File to Chat", openLabel: "Add" }))?.[0];
  if (!uri) return undefined;
  const name = vscode.workspace.asRelativePath(uri);
  try {
    const document = await vscode.workspace.openTextDocument(uri);
    return bounded(name, `The file ${name}:`, document.getText(), document.languageId);
  } catch {
    void vscode.window.showWarningMessage(`${name} cannot be added: it is not a text file.`);
    return undefined;
  }
}

function bounded(label: string, title: string, text: string, language: string): Attachment | undefined {
  if (text.length > MOST) {
    const size = Math.round(text.length / 1000);
    void vscode.window.showWarningMessage(`${label} has ${size},000 characters; up to ${MOST / 1000},000 can be added. Select a part.`);
    return undefined;
  }
  return { label, text: `${title}\n\n${fenced(text, language)}` };
}
