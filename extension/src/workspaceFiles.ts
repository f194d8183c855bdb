// Files of the workspace by the names that answers and messages give them; nothing outside of its folders.

import { posix } from "node:path";
import * as vscode from "vscode";

/** Most names that are looked up at once, and the longest. */
const MOST = 200;
const LONGEST = 300;

/** The existing file of the workspace with this name, relative to a folder of it or absolute; undefined if there is none. */
export async function fileNamed(name: unknown): Promise<vscode.Uri | undefined> {
  if (typeof name !== "string") return undefined;
  for (const uri of candidates(name)) if (await isFile(uri)) return uri;
  return undefined;
}

/** Where a file with this name is, or would be if it were created; undefined for a name that leads out of the workspace. */
export async function placeOf(name: string): Promise<vscode.Uri | undefined> {
  return (await fileNamed(name)) ?? candidates(name)[0];
}

export async function whichFiles(names: unknown): Promise<boolean[]> {
  if (!Array.isArray(names)) return [];
  return Promise.all(names.slice(0, MOST).map(async (name) => (await fileNamed(name)) !== undefined));
}

export async function openFile(name: string, line: number): Promise<void> {
  const uri = await fileNamed(name);
  if (!uri) return void vscode.window.showInformationMessage(`There is no file ${String(name).slice(0, LONGEST)} in this workspace.`);
  const at = new vscode.Position(Math.max(0, (Math.floor(Number(line)) || 1) - 1), 0);
  const viewColumn = vscode.window.activeTextEditor?.viewColumn;
  await vscode.window.showTextDocument(uri, { selection: new vscode.Range(at, at), ...(viewColumn ? { viewColumn } : {}) });
}

function candidates(name: string): vscode.Uri[] {
  const plain = name.replaceAll("\\", "/");
  if (!plain || plain.length > LONGEST || plain.includes("\0")) return [];
  const folders = (vscode.workspace.workspaceFolders ?? []).map(({ uri }) => uri);
  if (plain.startsWith("/")) {
    const path = posix.normalize(plain);
    return folders.filter(({ path: folder }) => path.startsWith(`${folder}/`)).map((folder) => folder.with({ path }));
  }
  const path = posix.normalize(plain);
  if (path === "." || path.startsWith("..")) return [];
  // With several folders a name may begin with the name of one, as VS Code writes it.
  return folders.flatMap((folder) => {
    const named = `${posix.basename(folder.path)}/`;
    const inside = vscode.Uri.joinPath(folder, path);
    return folders.length > 1 && path.startsWith(named) ? [inside, vscode.Uri.joinPath(folder, path.slice(named.length))] : [inside];
  });
}

async function isFile(uri: vscode.Uri): Promise<boolean> {
  try {
    return ((await vscode.workspace.fs.stat(uri)).type & vscode.FileType.File) !== 0;
  } catch {
    return false; // there is none
  }
}
