// The chats of version 0.1 are imported once; unreadable files are not changed.

import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { newAnswer } from "../../../aura_core/web/chat.js";
import { migrate } from "../../src/storage/migrate.js";
import { newChat, newFolder, Window } from "./window.js";

/** A file as version 0.1 wrote it. */
function old(folder: string, text: string, updated: number, state: "done" | "answering" = "done"): string {
  const { id } = newChat("echo");
  let began = Date.now() - 1000; // all of it is over
  const answer = () => ({ ...newAnswer({ id: "echo", model: "echo" }), began: began++, text: `to ${text}`, state });
  const question = { role: "user", text, attached: [{ label: "notes.txt", text: "12345" }] };
  const messages = [question, answer(), answer(), { role: "user", text: `${text} again` }, answer()];
  writeFileSync(join(folder, `chat_${id}.json`), JSON.stringify({ id, agent: "echo", updated, messages }));
  return id;
}

test("chats are imported with all their turns; another attempt at a question becomes a version", () => {
  const folder = newFolder();
  const id = old(folder, "hello", 7);
  old(folder, "other", 8);
  expect(migrate(new Window(folder).files)).toBe(0);
  const one = new Window(folder);
  expect(one.store.list().map(({ title, updated }) => [title, updated]).sort()).toEqual([["hello", 7], ["other", 8]]); // prettier-ignore
  const { turns, chat } = one.store.open(id);
  const [first, second, third] = turns.sort((a, b) => a.asked - b.asked || (a.after === "" ? -1 : 1));
  expect([first?.after, second?.after, turns.length]).toEqual(["", "", 3]);
  expect(turns.map(({ id: turn }) => turn)).toContain(third?.after);
  expect(chat?.last).toBe(third?.id);
  expect(first?.question).toEqual({ text: "hello", attached: [{ label: "notes.txt", size: 5 }] });
  expect(readdirSync(folder).filter((name) => name.startsWith("chat_"))).toEqual([]);
});

test("an answer that was running counts as stopped", () => {
  const folder = newFolder();
  const id = old(folder, "hello", 7, "answering");
  migrate(new Window(folder).files);
  for (const { answer } of new Window(folder).store.open(id).turns) expect(answer).toMatchObject({ state: "stopped", text: "to hello" });
});

test("a damaged chat hides no other, and is not deleted", () => {
  const folder = newFolder();
  old(folder, "good", 7);
  for (const [number, text] of ['{"id":', "null", '{"messages":[]}', "\0\0"].entries()) writeFileSync(join(folder, `chat_${number}.json`), text);
  expect(migrate(new Window(folder).files)).toBe(4);
  expect(new Window(folder).questions).toEqual({ good: ["good", "good", "good again"] });
  expect(readdirSync(folder).filter((name) => name.startsWith("chat_"))).toHaveLength(4);
});

test("after a crash in the middle, and after further turns, it is imported once", () => {
  const folder = newFolder();
  const id = old(folder, "hello", 7);
  const file = join(folder, `chat_${id}.json`);
  const text = readFileSync(file, "utf8");
  migrate(new Window(folder).files);
  const one = new Window(folder);
  const chat = one.store.chat(id)!;
  one.say(chat, "new");
  writeFileSync(file, text); // its removal was what the crash prevented
  expect(migrate(new Window(folder).files)).toBe(0);
  expect(new Window(folder).asked(id)).toEqual(["hello", "hello", "hello again", "new"]);
  expect(new Window(folder).store.chat(id)?.last).toBe(chat.last);
});
