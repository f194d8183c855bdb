// Actions that both webviews may request of the editor: copy, insert, a new file, a command.

import { posix } from "node:path";
import * as vscode from "vscode";
import type { Reply, EditorRequest } from "../webview/messages.js";

const COMMANDS = ["aura.startServer", "aura.setToken", "aura.openSettings", "workbench.trust.manage"];

/** Models' names for languages that differ from VS Code's. */
const LANGUAGES: Record<string, string> = {
  "c++": "cpp",
  "c#": "csharp",
  bash: "shellscript",
  golang: "go",
  js: "javascript",
  jsx: "javascriptreact",
  md: "markdown",
  py: "python",
  rb: "ruby",
  rs: "rust",
  sh: "shellscript",
  ts: "typescript",
  tsx: "typescriptreact",
  yml: "yaml",
};

export async function runEditorAction(request: EditorRequest, webview: vscode.Webview): Promise<void> {
  if (request.type === "copy") {
    const written = vscode.env.clipboard.writeText(request.text);
    const ok = await Promise.resolve(written).then(() => true, () => false); // prettier-ignore
    void webview.postMessage({ type: "copied", id: request.id, ok } satisfies Reply);
  } else if (request.type === "code" && request.action === "insert") {
    await insert(request.code);
  } else if (request.type === "code") {
    await newFile(request.code, request.language);
  } else if (request.type === "command" && COMMANDS.includes(request.command)) {
    await vscode.commands.executeCommand(request.command);
  }
}

/** Write a text to a file that the user chooses. The name is a suggestion; if it contains a path, only the last part is used. */
export async function exportFile(name: string, text: string): Promise<void> {
  const last = posix.basename(String(name).replaceAll("\\", "/")).slice(0, 120);
  const base = last.replaceAll(".", "") ? last : "chat";
  const folder = vscode.workspace.workspaceFolders?.[0]?.uri;
  const suggested = folder ? { defaultUri: vscode.Uri.joinPath(folder, base) } : {};
  const uri = await vscode.window.showSaveDialog({ title: "Export", saveLabel: "Export", ...suggested });
  if (!uri) return;
  try {
    await vscode.workspace.fs.writeFile(uri, new TextEncoder().encode(String(text)));
    void vscode.window.setStatusBarMessage(`Exported to ${vscode.workspace.asRelativePath(uri)}`, 5000);
  } catch (error) {
    void vscode.window.showErrorMessage(`The file could not be written: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** The last used editor; a focused webview does not count. */
let last: vscode.TextEditor | undefined;

export function watchEditors(): vscode.Disposable {
  last = vscode.window.activeTextEditor;
  return vscode.window.onDidChangeActiveTextEditor((editor) => (last = editor ?? last));
}

async function insert(code: string): Promise<void> {
  const editor = vscode.window.activeTextEditor ?? last;
  if (!editor || !vscode.window.visibleTextEditors.includes(editor)) {
    void vscode.window.showInformationMessage("Open a file, and put the cursor where the code should be inserted.");
    return;
  }
  const inserted = await editor.edit((edit) => {
    for (const selection of editor.selections) edit.replace(selection, code);
  });
  if (!inserted) void vscode.window.showWarningMessage("The code could not be inserted: the file may be read-only.");
  else await vscode.window.showTextDocument(editor.document, editor.viewColumn);
}

async function newFile(content: string, named: string): Promise<void> {
  const language = LANGUAGES[named.toLowerCase()] ?? named.toLowerCase();
  const known = (await vscode.languages.getLanguages()).includes(language);
  const document = await vscode.workspace.openTextDocument(known ? { content, language } : { content });
  await vscode.window.showTextDocument(document);
}
