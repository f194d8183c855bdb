// Patterns over foreign text take linear time: each one in src/ gets a megabyte of its worst-case text.

import { readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { createContext, Script } from "node:vm";
import ts from "typescript";
import { expect, test, vi } from "vitest";
import { commandLine, isLocal } from "../../src/command.js";
import { fenced } from "../../src/fence.js";
import { describe as describeStatus } from "../../src/statusBar.js";
import { readWorkflow } from "../../src/workflow/file.js";

vi.mock("vscode", () => ({}));

const SRC = resolve(import.meta.dirname, "../../src");
const SIZE = 1_000_000;
/**
 * Milliseconds for one match. A linear one takes a few; a quadratic one would take an hour, so a busy machine decides
 * nothing.
 */
const LIMIT = 10_000;

interface Pattern {
  where: string;
  pattern: RegExp;
}

function patterns(): Pattern[] {
  const found: Pattern[] = [];
  for (const name of readdirSync(SRC, { recursive: true, encoding: "utf8" }).filter((file) => file.endsWith(".ts"))) {
    const source = ts.createSourceFile(name, readFileSync(join(SRC, name), "utf8"), ts.ScriptTarget.ES2022, true);
    const visit = (node: ts.Node): void => {
      const where = () => `${name}:${source.getLineAndCharacterOfPosition(node.getStart()).line + 1}`;
      if (ts.isRegularExpressionLiteral(node)) {
        const end = node.text.lastIndexOf("/");
        found.push({ where: where(), pattern: new RegExp(node.text.slice(1, end), node.text.slice(end + 1)) });
      } else if (ts.isIdentifier(node) && node.text === "RegExp") {
        // A pattern that is built at run time cannot be found here.
        throw new Error(`${where()}: write the pattern as a literal, so that this test can feed it`);
      }
      ts.forEachChild(node, visit);
    };
    visit(source);
  }
  return found;
}

/** Characters that a pattern speaks of, and those of its classes: what they repeat is what makes it go back and forth. */
function alphabet({ source }: RegExp): string[] {
  const letters = new Set(["a", "0", " ", "\n"]);
  for (const [, escaped, plain] of source.matchAll(/\\(.)|([^\\^$*+?.()[\]{}|])/g)) {
    if (plain) letters.add(plain);
    else if (escaped && !/\w/.test(escaped)) letters.add(escaped);
  }
  return [...letters].slice(0, 12);
}

/** Texts of a megabyte: each character, and each two in turn; with an end that does not fit, and with a beginning that does. */
function* hostile(pattern: RegExp): Generator<string> {
  const letters = alphabet(pattern);
  for (const one of letters) {
    for (const other of letters) {
      const text = (one + other).repeat(SIZE / 2);
      yield text;
      if (one === other) for (const start of letters) yield `${start}${text}\u0001`;
    }
  }
}

const place = createContext({ source: "", flags: "", text: "" });
const match = new Script("new RegExp(source, flags).test(text)");

/** Whether it finishes in time. V8 checks the timeout at each backtrack. */
function answers({ source, flags }: RegExp, text: string, limit = LIMIT): boolean {
  Object.assign(place, { source, flags, text });
  try {
    match.runInContext(place, { timeout: limit });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ERR_SCRIPT_EXECUTION_TIMEOUT") throw error;
    return false;
  }
}

test("a backtracking pattern is detected", () => {
  const quadratic = /\$\([^)]*\)\s*/;
  expect([...hostile(quadratic)].some((text) => !answers(quadratic, text, 1000))).toBe(true);
});

test.each(patterns())("$where: $pattern is linear", { timeout: 120_000 }, ({ pattern }) => {
  for (const text of hostile(pattern)) {
    expect(answers(pattern, text), JSON.stringify(text.slice(0, 20))).toBe(true);
  }
});

test("a fence is longer than any of a megabyte of code", () => {
  expect(fenced("`".repeat(SIZE), "").slice(0, SIZE + 1)).toBe("`".repeat(SIZE + 1));
  expect(fenced("```a".repeat(SIZE / 4), "python").startsWith("````python\n")).toBe(true);
  expect(fenced("\n".repeat(SIZE), "").endsWith("\n```")).toBe(true);
});

test("a command, an address and a server's message of a megabyte block nothing", () => {
  for (const text of ["--port".repeat(SIZE / 6), " ".repeat(SIZE), "- ".repeat(SIZE / 2)]) {
    expect(commandLine(text, new URL("http://127.0.0.1:6000"))).toContain(text);
  }
  expect(isLocal({ hostname: `127.${"1".repeat(SIZE)}` } as URL)).toBe(false);
  const failure = { code: "unreachable", message: "$(".repeat(SIZE / 2) };
  expect(describeStatus({ kind: "offline", failure }, 0).tooltip).toBe(failure.message);
});

test.each(["[", "{", '"', " ", "\n", "- ", "a: ", "&a ", "*a ", "!a ", '"\\', "#", "%", "? ", "- a\n", "a: b\n "])(
  "a workflow of a megabyte of %j is refused at once, and one as long as it may be is read",
  { timeout: 60_000 },
  (text) => {
    expect(readWorkflow(text.repeat(SIZE / text.length), "w").problems).toMatchObject([{ message: expect.stringContaining("characters") }]);
    expect(readWorkflow(text.repeat(250_000 / text.length), "w").problems.length).toBeGreaterThan(0);
  },
);
