// A proposed change of a file, shown as a diff until it is accepted or rejected; the file is changed only then.

import * as vscode from "vscode";
import { placeOf } from "../workspaceFiles.js";
import { fileInComment, fileOfPatch, propose, type How, type Range } from "./apply.js";

const SCHEME = "aura-proposal";

const HOW: Record<How, string> = {
  selection: "the selection replaced",
  patch: "patched",
  part: "one part replaced",
  whole: "the whole file replaced",
};

interface Proposal {
  /** The file; it does not exist yet if `before` is undefined. */
  target: vscode.Uri;
  before: string | undefined;
  after: string;
}

export class Proposals implements vscode.TextDocumentContentProvider, vscode.Disposable {
  /** By the address of the proposed text. */
  #open = new Map<string, Proposal>();
  #number = 0;
  #watching: vscode.Disposable[];

  constructor() {
    this.#watching = [
      vscode.workspace.registerTextDocumentContentProvider(SCHEME, this),
      vscode.window.tabGroups.onDidChangeTabs(({ closed }) => closed.forEach((tab) => this.#closed(tab))),
    ];
  }

  provideTextDocumentContent(uri: vscode.Uri): string {
    if (uri.path.startsWith("/nothing/")) return "";
    return this.#open.get(uri.toString())?.after ?? "";
  }

  dispose(): void {
    for (const watching of this.#watching) watching.dispose();
  }

  /** Show what a block of code would change, in the file that it names or else in this editor's. */
  async show(code: string, language: string, editor: vscode.TextEditor | undefined): Promise<void> {
    const named = fileOfPatch(code, language) || fileInComment(code);
    const target = (named ? await placeOf(named) : undefined) ?? editor?.document.uri;
    if (!target) {
      void vscode.window.showInformationMessage("Open the file to which the code should be applied.");
      return;
    }
    const before = await read(target);
    const own = editor?.document.uri.toString() === target.toString() ? editor : undefined;
    try {
      const { text, how } = propose(before ?? "", withEnds(code, before ?? ""), language, selection(own));
      if (text === before) void vscode.window.showInformationMessage(`${vscode.workspace.asRelativePath(target)} has this code already.`);
      else await this.#diff({ target, before, after: text }, before === undefined ? "a new file" : HOW[how]);
    } catch (error) {
      void vscode.window.showWarningMessage(error instanceof Error ? error.message : String(error));
    }
  }

  async #diff(proposal: Proposal, how: string): Promise<void> {
    const { target, before } = proposal;
    // The file's name at the end gives the text its language.
    const path = `/${++this.#number}${target.path}`;
    const right = target.with({ scheme: SCHEME, authority: "", path, query: "", fragment: "" });
    this.#open.set(right.toString(), proposal);
    const left = before === undefined ? right.with({ path: `/nothing${path}` }) : target;
    const title = `${vscode.workspace.asRelativePath(target)}: ${how}`;
    await vscode.commands.executeCommand("vscode.diff", left, right, title, { preview: false });
  }

  /** Change the file as the shown diff proposes. It can be undone, and is not saved. */
  async accept(chosen?: vscode.Uri): Promise<void> {
    const key = this.#key(chosen);
    const proposal = key && this.#open.get(key);
    if (!key || !proposal) return;
    const { target, before, after } = proposal;
    const name = vscode.workspace.asRelativePath(target);
    if ((await read(target)) !== before) {
      void vscode.window.showWarningMessage(`${name} has changed since the proposal was made. Apply the code again.`);
      return;
    }
    if (!(await change(target, before, after))) {
      void vscode.window.showWarningMessage(`${name} could not be changed: it may be read-only.`);
      return;
    }
    await this.#close(key);
    await vscode.window.showTextDocument(target);
  }

  async reject(chosen?: vscode.Uri): Promise<void> {
    const key = this.#key(chosen);
    if (key) await this.#close(key);
  }

  /** The given proposal, or the one in front. */
  #key(chosen: vscode.Uri | undefined): string | undefined {
    if (chosen && this.#open.has(chosen.toString())) return chosen.toString();
    const front = vscode.window.tabGroups.activeTabGroup.activeTab;
    const key = front && modified(front);
    return key && this.#open.has(key) ? key : undefined;
  }

  async #close(key: string): Promise<void> {
    const tabs = vscode.window.tabGroups.all.flatMap(({ tabs }) => tabs).filter((tab) => modified(tab) === key);
    this.#open.delete(key);
    await vscode.window.tabGroups.close(tabs);
  }

  #closed(tab: vscode.Tab): void {
    const key = modified(tab);
    if (key) this.#open.delete(key);
  }
}

/** The address of the text on the right of a diff. */
function modified({ input }: vscode.Tab): string | undefined {
  return input instanceof vscode.TabInputTextDiff ? input.modified.toString() : undefined;
}

/** The text of a file, as its editor has it; undefined if there is no such file. */
async function read(uri: vscode.Uri): Promise<string | undefined> {
  try {
    return (await vscode.workspace.openTextDocument(uri)).getText();
  } catch (error) {
    const there = await Promise.resolve(vscode.workspace.fs.stat(uri)).then(() => true, () => false); // prettier-ignore
    if (there) throw error;
    return undefined;
  }
}

async function change(uri: vscode.Uri, before: string | undefined, after: string): Promise<boolean> {
  const edit = new vscode.WorkspaceEdit();
  if (before === undefined) {
    edit.createFile(uri, { contents: new TextEncoder().encode(after) });
  } else {
    const document = await vscode.workspace.openTextDocument(uri);
    const { start, end } = difference(before, after);
    const range = new vscode.Range(document.positionAt(start), document.positionAt(end));
    edit.replace(uri, range, after.slice(start, after.length - (before.length - end)));
  }
  return vscode.workspace.applyEdit(edit);
}

/** The part of a text that differs, so that cursors and folds elsewhere stay. */
function difference(before: string, after: string): Range {
  const most = Math.min(before.length, after.length);
  let start = 0;
  while (start < most && before[start] === after[start]) start++;
  let same = 0;
  while (same < most - start && before[before.length - 1 - same] === after[after.length - 1 - same]) same++;
  return { start, end: before.length - same };
}

function selection(editor: vscode.TextEditor | undefined): Range {
  if (!editor) return { start: 0, end: 0 };
  const { document, selection } = editor;
  return { start: document.offsetAt(selection.start), end: document.offsetAt(selection.end) };
}

/** The code with the file's own kind of line ends. */
function withEnds(code: string, text: string): string {
  return text.includes("\r\n") ? code.replaceAll("\r\n", "\n").replaceAll("\n", "\r\n") : code;
}
