// The tree of workflows: the files in .aura/workflows of every folder of the workspace.

import { basename } from "node:path";
import * as vscode from "vscode";

const PATTERN = "**/.aura/workflows/*.{yaml,yml}";

export class WorkflowsTree implements vscode.TreeDataProvider<vscode.Uri>, vscode.Disposable {
  #changed = new vscode.EventEmitter<void>();
  #watcher = vscode.workspace.createFileSystemWatcher(PATTERN, false, true);
  readonly onDidChangeTreeData = this.#changed.event;

  constructor() {
    this.#watcher.onDidCreate(() => this.#changed.fire());
    this.#watcher.onDidDelete(() => this.#changed.fire());
  }

  getChildren(parent?: vscode.Uri): Thenable<vscode.Uri[]> | vscode.Uri[] {
    return parent ? [] : findWorkflows();
  }

  getTreeItem(uri: vscode.Uri): vscode.TreeItem {
    const item = new vscode.TreeItem(basename(uri.path).replace(/\.ya?ml$/, ""));
    item.resourceUri = uri;
    item.iconPath = new vscode.ThemeIcon("list-ordered");
    item.accessibilityInformation = { label: String(item.label) };
    item.tooltip = vscode.workspace.asRelativePath(uri);
    item.command = { command: "aura.openWorkflow", title: "Open Workflow", arguments: [uri] };
    return item;
  }

  /** A workflow was created here: not every file system reports that. */
  refresh(): void {
    this.#changed.fire();
  }

  dispose(): void {
    this.#watcher.dispose();
  }
}

/** Read the folders directly: a search would omit files that the user excludes from searches. */
export async function findWorkflows(): Promise<vscode.Uri[]> {
  const folders = (vscode.workspace.workspaceFolders ?? []).map(({ uri }) => vscode.Uri.joinPath(uri, ".aura", "workflows"));
  const found = await Promise.all(folders.map(list));
  return found.flat().sort((a, b) => a.path.localeCompare(b.path));
}

async function list(folder: vscode.Uri): Promise<vscode.Uri[]> {
  try {
    const entries = await vscode.workspace.fs.readDirectory(folder);
    const names = entries.filter(([name, type]) => /\.ya?ml$/.test(name) && type & vscode.FileType.File).map(([name]) => name);
    return names.map((name) => vscode.Uri.joinPath(folder, name));
  } catch {
    return []; // there is none
  }
}
