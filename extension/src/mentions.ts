// The words of a message that name context in the editor: `#selection`, `#problems` and `#file:NAME`.

import * as vscode from "vscode";
import type { Mentioned, Word } from "../../aura_core/web/host-types.js";
import { file, problems, selection } from "./attach.js";
import { lastEditor } from "./providers/editorActions.js";
import { fileNamed } from "./workspaceFiles.js";

const FILE = "#file:";
/** Files that are suggested, and those that are searched. */
const SHOWN = 10;
const SEARCHED = 5000;
/** Milliseconds that a suggestion waits for the search: a large workspace may take longer. A later key finds its result. */
const PATIENCE = 1000;

const WORDS: Word[] = [
  { word: "#selection", about: "What is selected in the editor" },
  { word: "#problems", about: "What VS Code shows as problems" },
  { word: FILE, about: "A file of this workspace", goesOn: true },
];

/** The words that begin so. */
export async function words(begun: string): Promise<Word[]> {
  const text = String(begun).slice(0, 300);
  const own = WORDS.filter(({ word }) => word.startsWith(text) && word !== text);
  if (text.length <= 1) return own;
  const wanted = text.startsWith(FILE) ? text.slice(FILE.length) : text.slice(1);
  return [...own, ...(await files(wanted.toLowerCase()))];
}

async function files(wanted: string): Promise<Word[]> {
  // Names with white space cannot be words of a message.
  const found = (await Promise.race([names(), none(PATIENCE)])).filter((name) => name.toLowerCase().includes(wanted) && !/\s/.test(name));
  const rank = (name: string) => (name.toLowerCase().split("/").at(-1)?.startsWith(wanted) ? 0 : 1);
  found.sort((a, b) => rank(a) - rank(b) || a.length - b.length || a.localeCompare(b));
  return found.slice(0, SHOWN).map((name) => ({ word: FILE + name }));
}

/** The names of the workspace's files, read again when they are some seconds old: each key in a word asks for them. */
async function names(): Promise<string[]> {
  if (!known || Date.now() > known.until) {
    const search = { until: Infinity, names: searched().finally(() => (search.until = Date.now() + 5000)) };
    known = search;
  }
  return known.names;
}

let known: { until: number; names: Promise<string[]> } | undefined;

/** None if VS Code cannot search here: the other words are suggested anyway. */
async function searched(): Promise<string[]> {
  try {
    const found = await vscode.workspace.findFiles("**/*", "**/{node_modules,.git,.venv,__pycache__}/**", SEARCHED);
    return found.map((uri) => vscode.workspace.asRelativePath(uri));
  } catch {
    return [];
  }
}

function none(after: number): Promise<string[]> {
  return new Promise((resolve) => setTimeout(() => resolve([]), after));
}

/** What a word stands for. */
export async function mention(word: string): Promise<Mentioned> {
  if (word === "#selection") return selection(lastEditor());
  if (word === "#problems") return problems(lastEditor());
  const name = String(word).startsWith(FILE) ? word.slice(FILE.length) : "";
  const uri = name ? await fileNamed(name) : undefined;
  if (uri) return file(uri);
  return { refused: name ? `There is no file ${name} in this workspace.` : `${word} is not one of #selection, #problems and #file:NAME.` };
}
