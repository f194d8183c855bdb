// Read a workflow file: its steps, or all its errors with their lines.

import { isMap, isScalar, isSeq, LineCounter, parseDocument, Parser, type Node, type Pair, type YAMLMap } from "yaml";
import { namesIn, type Input } from "./inputs.js";

export interface Step {
  name: string;
  agent: string;
  prompt: string;
  /** The line in the file where it starts, counted from 1. */
  line: number;
}

export interface Workflow {
  name: string;
  inputs: Input[];
  steps: Step[];
}

export interface Problem {
  line: number;
  message: string;
}

/** A workflow, or problems: a workflow with a problem does not run. */
export type Read = { workflow: Workflow; problems: [] } | { workflow?: undefined; problems: Problem[] };

export const OF_FILE = ["name", "inputs", "steps"];
export const OF_STEP = ["name", "agent", "prompt"];
export const OF_INPUT = ["name", "prompt", "default"];
/** Maximum number of steps of a workflow, and of inputs, each of which is a question. */
export const MOST = 100;
export const MOST_INPUTS = 20;
/** What an input may be called, so that `{{name}}` can name it. */
export const INPUT_NAME = /^[A-Za-z_][\w-]{0,99}$/;
/** Maximum characters of a workflow file: a longer one would block the extension for seconds. */
const LONGEST = 256 * 1024;
/** Maximum nesting of lists and maps: the library parses them recursively, and a stack overflow ends the extension host. */
const DEEPEST = 50;
/** Maximum number of problems shown for a file. */
const SHOWN = 100;

/** `stem` is the file's name without its extension: the default name of the workflow. */
export function readWorkflow(text: string, stem: string): Read {
  if (text.length > LONGEST) {
    const message = `This file has ${text.length.toLocaleString("en")} characters; a workflow has up to ${LONGEST.toLocaleString("en")}.`;
    return { problems: [{ line: 1, message }] };
  }
  if (isDeep(text)) return { problems: [{ line: 1, message: `Lists and maps are more than ${DEEPEST} deep here.` }] };
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, version: "1.2" });
  const problems: Problem[] = [];
  const at = (offset: number | undefined) => Math.max(1, lines.linePos(offset ?? 0).line);
  const wrong = (node: Node | null | undefined, message: string, fallback = 1) => {
    problems.push({ line: node?.range ? at(node.range[0]) : fallback, message });
  };
  for (const error of [...document.errors, ...document.warnings].slice(0, SHOWN)) {
    problems.push({ line: at(error.pos[0]), message: `This is not valid YAML: ${error.message}` });
  }
  if (problems.length) return { problems };
  const root = document.contents;
  if (!isMap(root)) {
    wrong(root, "A workflow has a name and steps, as in the documentation of the Aura extension.");
    return { problems };
  }

  const keys = (map: YAMLMap, known: string[]) => {
    for (const { key } of map.items as Pair<Node, Node>[]) {
      const name = isScalar(key) ? String(key.value) : "";
      if (!known.includes(name)) wrong(key, `'${name}' is unknown; the known keys are ${list(known)}.`);
    }
  };
  const text_ = (map: YAMLMap, key: string, fallback: string | undefined, line: number): string => {
    const node = map.get(key, true) as Node | null | undefined;
    if (node === undefined || node === null || (isScalar(node) && node.value === null)) {
      if (fallback !== undefined) return fallback;
      wrong(node, `'${key}' is missing.`, line);
      return "";
    }
    if (isScalar(node) && typeof node.value === "string" && node.value.trim()) return node.value;
    wrong(node, `'${key}' must be text that is not blank.`);
    return "";
  };

  keys(root, OF_FILE);
  const name = text_(root, "name", stem, 1);
  const inputs: Input[] = [];
  const asked = root.get("inputs", true) as Node | null | undefined;
  if (asked && !(isScalar(asked) && asked.value === null)) {
    if (!isSeq(asked)) wrong(asked, "'inputs' must be a list.");
    else if (asked.items.length > MOST_INPUTS) wrong(asked, `There are ${asked.items.length} inputs; up to ${MOST_INPUTS} can be asked for.`);
    else
      for (const [index, item] of (asked.items as Node[]).entries()) {
        if (!isMap(item)) {
          wrong(item, `Input ${index + 1} must have a name.`);
          continue;
        }
        const line = at(item.range?.[0]);
        keys(item, OF_INPUT);
        const name = text_(item, "name", undefined, line);
        if (name && !INPUT_NAME.test(name)) wrong(item.get("name", true) as Node, `The input's name '${name.slice(0, 100)}' must consist of letters, digits, _ and -.`);
        if (name && inputs.some((other) => other.name === name)) wrong(item, `The input '${name}' is there twice.`);
        inputs.push({ name, prompt: text_(item, "prompt", name, line), default: text_(item, "default", "", line) });
      }
  }
  const found = root.get("steps", true) as Node | null | undefined;
  const steps: Step[] = [];
  if (!isSeq(found) || found.items.length === 0) {
    wrong(found, "'steps' must be a list with at least one step.");
  } else if (found.items.length > MOST) {
    wrong(found, `There are ${found.items.length} steps; up to ${MOST} can be run.`);
  } else {
    for (const [index, item] of (found.items as Node[]).entries()) {
      if (!isMap(item)) {
        wrong(item, `Step ${index + 1} must have an agent and a prompt.`);
        continue;
      }
      const line = at(item.range?.[0]);
      keys(item, OF_STEP);
      const agent = text_(item, "agent", undefined, line);
      const prompt = text_(item, "prompt", undefined, line);
      // Without inputs, braces are text: a prompt may be about templates.
      const unknown = asked ? namesIn(prompt).filter((name) => !inputs.some((input) => input.name === name)) : [];
      for (const name of unknown) wrong(item.get("prompt", true) as Node, `{{${name}}} is not one of the inputs.`);
      steps.push({ name: text_(item, "name", agent || `Step ${index + 1}`, line), agent, prompt, line });
    }
  }
  if (problems.length) return { problems: problems.sort((a, b) => a.line - b.line).slice(0, SHOWN) };
  return { workflow: { name, inputs, steps }, problems: [] };
}

function list(words: string[]): string {
  return words.map((word) => `'${word}'`).join(", ");
}

/** Whether lists and maps are nested too deeply; detected without recursion. */
function isDeep(text: string): boolean {
  const waiting: { token: unknown; depth: number }[] = [...new Parser().parse(text)].map((token) => ({ token, depth: 0 }));
  for (let next = waiting.pop(); next; next = waiting.pop()) {
    const { token, depth } = next;
    if (depth > DEEPEST) return true;
    if (Array.isArray(token)) for (const one of token) waiting.push({ token: one, depth });
    else if (typeof token === "object" && token) {
      const { items, key, value } = token as { items?: unknown; key?: unknown; value?: unknown };
      waiting.push({ token: items, depth: depth + 1 }, { token: key, depth }, { token: value, depth });
    }
  }
  return false;
}
