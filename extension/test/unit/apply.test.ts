// What a block of code makes of a file: patches, parts, selections, whole files; and what a terminal gets of one.

import { expect, test, vi } from "vitest";
import { fileInComment, fileOfPatch, propose } from "../../src/code/apply.js";
import { commandsIn } from "../../src/code/terminal.js";

vi.mock("vscode", () => ({}));

const NONE = { start: 0, end: 0 };
const FILE = "one\ntwo\nthree\ntwo\n";

test.each([
  ["the whole file", FILE, "new", "python", NONE, "new\n", "whole"],
  ["an empty file", "", "new\n", "", NONE, "new\n", "whole"],
  ["a part between two unique lines", FILE, "one\nTWO\nthree", "", NONE, "one\nTWO\nthree\ntwo\n", "part"],
  ["no part where a line is there twice", FILE, "two\nx\nthree", "", NONE, "two\nx\nthree\n", "whole"],
  ["no part where the lines are in another order", FILE, "three\nx\none", "", NONE, "three\nx\none\n", "whole"],
  ["the end of a file without a line end", "a\nb", "a\nx\nb", "", NONE, "a\nx\nb", "part"],
  ["the selection", FILE, "TWO\n", "", { start: 4, end: 7 }, "one\nTWO\nthree\ntwo\n", "selection"],
  ["selected lines", FILE, "TWO", "", { start: 4, end: 8 }, "one\nTWO\nthree\ntwo\n", "selection"],
  ["a patch, whatever its line numbers", FILE, "@@ -90,2 +90,2 @@\n three\n-two\n+four", "diff", NONE, "one\ntwo\nthree\nfour\n", "patch"],
  ["a patch of two parts", FILE, "@@ @@\n-one\n+1\n@@ @@\n three\n-two\n+4", "diff", NONE, "1\ntwo\nthree\n4\n", "patch"],
  ["a patch for an empty line that lost its space", "a\n\nb\n", "@@ @@\n a\n\n-b\n+c", "diff", NONE, "a\n\nc\n", "patch"],
])("%s", (_, text, code, language, selected, after, how) => {
  expect(propose(text, code, language, selected)).toEqual({ text: after, how });
});

test("a patch that does not fit is refused, with its part", () => {
  expect(() => propose(FILE, "@@ @@\n-one\n+1\n@@ @@\n-five\n+5", "diff", NONE)).toThrow("Part 2 of the patch does not fit");
});

test.each([
  ["# src/app.py\nx", "src/app.py"],
  ["// src/app.ts:\nx", "src/app.ts"],
  ["<!-- index.html -->\n", "index.html"],
  ["# The first step\n", ""],
  ["# v1.2 is out\n", ""],
  ["x = 1", ""],
])("the first line of %j names the file %j", (code, name) => {
  expect(fileInComment(code)).toBe(name);
});

test("a patch names its file", () => {
  expect(fileOfPatch("--- a/x.py\n+++ b/x.py\n@@ @@\n", "diff")).toBe("x.py");
  expect(fileOfPatch("+++ x.py\n@@ @@\n", "python")).toBe("");
});

test.each([
  ["ls -l\n", ["ls -l"]],
  ["$ ls\nsome output\n$ pwd", ["ls", "pwd"]],
  ["ls\rrm -r x", ["ls", "rm -r x"]],
  ["echo \u001b[2Ja\u0003\u009b1mb\u007f", ["echo [2Ja1mb"]],
  ["\n \n", []],
])("of %j a terminal gets %j", (code, lines) => {
  expect(commandsIn(code)).toEqual(lines);
});
