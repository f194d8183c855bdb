// Actions that both webviews may request of the editor: what to do with code, opening a file, a command.

import { posix } from "node:path";
import * as vscode from "vscode";
import type { Proposals } from "../code/proposals.js";
import { insertInTerminal } from "../code/terminal.js";
import type { Reply, EditorRequest } from "../webview/messages.js";
import { openFile, whichFiles } from "../workspaceFiles.js";

const COMMANDS = ["aura.startServer", "aura.setToken", "aura.openSettings", "aura.openWorkflow", "workbench.trust.manage"];

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

export async function runEditorAction(request: EditorRequest, webview: vscode.Webview, proposals: Proposals): Promise<void> {
  const answer = (id: number, value: unknown) => void webview.postMessage({ type: "answered", id, value } satisfies Reply);
  switch (request.type) {
    case "copy": {
      const written = vscode.env.clipboard.writeText(request.text);
      answer(request.id, await Promise.resolve(written).then(() => true, () => false)); // prettier-ignore
      break;
    }
    case "whichFiles":
      answer(request.id, await whichFiles(request.names));
      break;
    case "openFile":
      await openFile(request.name, request.line);
      break;
    case "code":
      await useCode(request, proposals);
      break;
    case "command":
      if (COMMANDS.includes(request.command)) await vscode.commands.executeCommand(request.command);
      break;
  }
}

async function useCode({ action, code, language }: Extract<EditorRequest, { type: "code" }>, proposals: Proposals): Promise<void> {
  if (action === "apply") await proposals.show(code, language, lastEditor());
  else if (action === "insert") await insert(code);
  else if (action === "terminal") await insertInTerminal(code);
  else if (action === "newFile") await newFile(code, language);
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

/** Follow which editor is in use, and report it. */
export function watchEditors(used: () => void): vscode.Disposable {
  last = vscode.window.activeTextEditor;
  return vscode.Disposable.from(
    vscode.window.onDidChangeActiveTextEditor((editor) => {
      last = editor ?? last;
      used();
    }),
    vscode.window.onDidChangeVisibleTextEditors(used),
  );
}

/** The editor that was used last, if it is still visible. */
export function lastEditor(): vscode.TextEditor | undefined {
  const editor = vscode.window.activeTextEditor ?? last;
  return editor && vscode.window.visibleTextEditors.includes(editor) ? editor : undefined;
}

async function insert(code: string): Promise<void> {
  const editor = lastEditor();
  if (!editor) {
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
