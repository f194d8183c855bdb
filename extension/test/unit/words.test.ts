// @vitest-environment jsdom
// Completion of words while the host's suggestions take their time.

import { beforeEach, expect, test } from "vitest";
import { Words } from "../../../aura_core/web/words.js";

const ALL = ["#selection", "#problems", "#file:"];

let input: HTMLTextAreaElement;
let words: Words;
let pending: (() => void)[];

beforeEach(() => {
  Element.prototype.scrollIntoView = () => {}; // jsdom has none
  pending = [];
  input = document.createElement("textarea");
  words = new Words(input, async (begun) => {
    await new Promise<void>((answered) => pending.push(answered));
    return ALL.filter((word) => word.startsWith(begun)).map((text) => ({ label: text, text }));
  });
});

function type(text: string): void {
  input.value = text;
  input.setSelectionRange(text.length, text.length);
  input.dispatchEvent(new Event("input"));
}

/** The host answers everything that it was asked. */
async function answered(): Promise<void> {
  for (const answer of pending.splice(0)) answer();
  await new Promise((soon) => setTimeout(soon));
}

const press = (key: string) => words.key(new KeyboardEvent("keydown", { key, cancelable: true }));

test.each(["Tab", "Enter"])("%s takes nothing from the list of an earlier word, and is not passed on", async (key) => {
  type("#");
  await answered();
  type("#prob");
  expect(press(key)).toBe(true);
  expect(input.value).toBe("#prob");
  await answered();
  expect(press(key)).toBe(true);
  expect(input.value).toBe("#problems ");
});

test("an answer without suggestions closes the list, and Enter is passed on", async () => {
  type("#");
  await answered();
  type("#include");
  await answered();
  expect(words.list.hidden).toBe(true);
  expect(press("Enter")).toBe(false);
});

test("a list that the cursor has left is closed, and the key is passed on", async () => {
  type("#sel");
  await answered();
  input.setSelectionRange(0, 0);
  expect(press("Enter")).toBe(false);
  expect([input.value, words.list.hidden]).toEqual(["#sel", true]);
});
