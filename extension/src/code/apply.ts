// What a file would be with a block of code applied: the whole file, a patched one, or one with the matching part replaced.

/** How a block was understood; the title of the diff says it. */
export type How = "selection" | "patch" | "part" | "whole";

export interface Proposed {
  text: string;
  how: How;
}

/** Offsets of the selected text in the file; equal ones select nothing. */
export interface Range {
  start: number;
  end: number;
}

/** The file name that the first line of a block gives in a comment, as `# src/app.py` or `// src/app.ts`; "" if none. */
export function fileInComment(code: string): string {
  const [line = ""] = code.trimStart().slice(0, 300).split("\n", 1);
  const words = line.trim().split(/\s+/).slice(0, 3);
  const [mark = "", ...rest] = words;
  if (!["#", "//", "--", ";", "/*", "<!--"].includes(mark)) return "";
  const name = rest[0]?.replace(/:$/, "") ?? "";
  const closed = rest.length === 1 || rest[1] === "*/" || rest[1] === "-->";
  return closed && /\w\.\w/.test(name) ? name : "";
}

/** The new text of a file. Throws an Error for people when a patch does not fit. */
export function propose(text: string, code: string, language: string, selected: Range): Proposed {
  if (isPatch(code, language)) return { text: patched(text, code), how: "patch" };
  if (selected.end > selected.start) {
    return { text: text.slice(0, selected.start) + endingAs(code, text.slice(selected.start, selected.end)) + text.slice(selected.end), how: "selection" };
  }
  const part = matchingPart(text, code);
  if (part) return { text: text.slice(0, part.start) + endingAs(code, text.slice(part.start, part.end)) + text.slice(part.end), how: "part" };
  return { text: endingAs(code, "\n"), how: "whole" };
}

/** The code with as many line ends behind it as the text that it replaces. */
function endingAs(code: string, replaced: string): string {
  const bare = code.endsWith("\n") ? code.slice(0, -1) : code;
  return replaced.endsWith("\n") ? `${bare}\n` : bare;
}

/** The lines from the block's first line to its last, if each is in the file once, in this order. */
function matchingPart(text: string, code: string): Range | undefined {
  const wanted = code.split("\n").map((line) => line.trimEnd()).filter((line) => line); // prettier-ignore
  const [first = "", last = ""] = [wanted[0], wanted.at(-1)];
  if (wanted.length < 2) return undefined;
  const lines = text.split("\n");
  const at = (line: string) => lines.flatMap((other, index) => (other.trimEnd() === line ? [index] : []));
  const [from, ...alsoFrom] = at(first);
  const to = at(last).filter((index) => from !== undefined && index > from);
  if (from === undefined || alsoFrom.length || to.length !== 1) return undefined;
  const end = to[0] as number;
  const offset = (line: number) => lines.slice(0, line).reduce((sum, { length }) => sum + length + 1, 0);
  return { start: offset(from), end: Math.min(offset(end + 1), text.length) };
}

function isPatch(code: string, language: string): boolean {
  return ["diff", "patch"].includes(language.toLowerCase()) && /^@@/m.test(code);
}

/** The name of the file that a patch is for; "" if it names none. */
export function fileOfPatch(code: string, language: string): string {
  if (!isPatch(code, language)) return "";
  const line = code.split("\n").find((line) => line.startsWith("+++ ")) ?? "";
  const name = line.slice(4).split("\t", 1)[0]?.trim() ?? "";
  return name === "/dev/null" ? "" : name.replace(/^[ab]\//, "");
}

/** Apply the hunks of a unified diff. Models count lines badly, so that a hunk is found by its text. */
function patched(text: string, patch: string): string {
  const lines = text.split("\n");
  let from = 0;
  for (const { before, after, number } of hunks(patch)) {
    const at = find(lines, before, from);
    if (at === undefined) throw new Error(`Part ${number} of the patch does not fit the file: its lines are not there.`);
    lines.splice(at, before.length, ...after);
    from = at + after.length;
  }
  return lines.join("\n");
}

interface Hunk {
  number: number;
  before: string[];
  after: string[];
}

function hunks(patch: string): Hunk[] {
  const found: Hunk[] = [];
  const body = patch.endsWith("\n") ? patch.slice(0, -1) : patch;
  for (const line of body.split("\n")) {
    const hunk = found.at(-1);
    if (line.startsWith("@@")) found.push({ number: found.length + 1, before: [], after: [] });
    else if (!hunk || line.startsWith("\\")) continue;
    else if (line.startsWith("+")) hunk.after.push(line.slice(1));
    else if (line.startsWith("-")) hunk.before.push(line.slice(1));
    else {
      const kept = line.startsWith(" ") ? line.slice(1) : line;
      hunk.before.push(kept);
      hunk.after.push(kept);
    }
  }
  return found;
}

function find(lines: string[], wanted: string[], from: number): number | undefined {
  for (let at = from; at + wanted.length <= lines.length; at++) {
    if (wanted.every((line, index) => lines[at + index] === line)) return at;
  }
  return undefined;
}
