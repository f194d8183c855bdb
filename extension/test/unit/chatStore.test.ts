// The stored data of chats, precedence of concurrent changes, and two windows with one chat.

import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test, vi } from "vitest";
import { newTurn, take } from "../../../aura_core/web/chat.js";
import { LEASE } from "../../src/storage/chatFiles.js";
import { AGENT, newChat, newFolder, Window } from "./window.js";

const MINUTE = 60_000;

/** As if the window that runs this turn had ended a while ago without a message. */
function forsake(folder: string, chat: string, turn: string): void {
  const past = (Date.now() - LEASE - 1000) / 1000;
  utimesSync(join(folder, chat, `${turn}.json`), past, past);
}

test("a chat is restored after a restart, and an answer whose window is gone has ended", () => {
  const folder = newFolder();
  const chat = newChat("echo");
  const one = new Window(folder);
  const turn = one.ask(chat, "hello");
  take(turn.answer, { type: "token", content: "so far" });
  one.store.updated(turn);
  one.store.dispose();
  forsake(folder, chat.id, turn.id);
  const next = new Window(folder);
  expect(next.store.list()).toMatchObject([{ id: chat.id, title: "hello", last: turn.id }]);
  const [kept] = next.store.open(chat.id).turns;
  expect(kept).toMatchObject({ question: { text: "hello" }, answer: { state: "stopped", reason: "the window was closed", text: "so far" } });
});

test("an answer keeps the extension host's state, whatever a view saves", () => {
  const one = new Window(newFolder());
  const chat = newChat("echo");
  const turn = one.ask(chat, "hello");
  const early = structuredClone(turn);
  take(turn.answer, { type: "token", content: "the whole text" });
  one.store.save({ chat: { id: chat.id }, turns: [early] });
  expect(one.store.open(chat.id).turns[0]).toBe(turn);
  expect(one.store.begin(turn.id)).toBeUndefined(); // it runs already
  take(turn.answer, { type: "done", totalTokens: 1, finishReason: "stop" });
  one.store.updated(turn);
  one.store.save({ chat: { id: chat.id }, turns: [early] });
  expect(one.store.open(chat.id).turns[0]?.answer).toMatchObject({ state: "done", text: "the whole text" });
});

test("only a turn that was saved can begin, and only once", () => {
  const { store } = new Window(newFolder());
  const chat = newChat("echo");
  const turn = newTurn(chat, { text: "q" }, AGENT);
  expect(store.begin(turn.id)).toBeUndefined();
  store.save({ chat, turns: [turn] });
  expect(store.begin(turn.id)?.id).toBe(turn.id);
  expect(store.begin(turn.id)).toBeUndefined();
});

test("an answer of a megabyte, or of twenty, deletes nothing, and turns after it stay", () => {
  const folder = newFolder();
  const one = new Window(folder);
  const chats = Array.from({ length: 60 }, (_, number) => ({ ...newChat("echo"), title: `chat ${number}` }));
  for (const chat of chats) one.say(chat, "q");
  const [chat = newChat("")] = chats;
  one.say(chat, "a megabyte", "m".repeat(1_000_000));
  one.say(chat, "twenty", "t".repeat(20_000_000));
  one.say(chat, "after it");
  const next = new Window(folder);
  expect(next.store.list()).toHaveLength(60);
  expect(next.asked(chat.id)).toEqual(["q", "a megabyte", "twenty", "after it"]);
  expect(one.troubles).toEqual([]);
});

test("the list has no texts and no attachments, an opened chat has", () => {
  const one = new Window(newFolder());
  const chat = { ...newChat("echo"), attached: [{ label: "notes.txt", text: "a secret" }] };
  one.say(chat, "question", "answer");
  expect(JSON.stringify(one.store.list())).not.toMatch(/secret|answer/);
  expect(one.store.open(chat.id).chat?.attached).toEqual(chat.attached);
});

test("two windows that ask in one chat lose no turn of either", () => {
  const folder = newFolder();
  const [one, two] = [new Window(folder), new Window(folder)];
  const chat = newChat("echo");
  one.say(chat, "first");
  one.say(structuredClone(chat), "in one");
  two.say(structuredClone(chat), "in two");
  const third = new Window(folder);
  expect(third.asked(chat.id).sort()).toEqual(["first", "in one", "in two"]);
  expect(third.store.list()).toHaveLength(1);
});

test("two windows that change different things of a chat lose neither", () => {
  const folder = newFolder();
  const [one, two] = [new Window(folder), new Window(folder)];
  const chat = newChat("echo");
  one.say(chat, "first");
  one.store.save({ chat: { id: chat.id, title: "A better name", renamed: true } });
  two.store.save({ chat: { id: chat.id, attached: [{ label: "a", text: "b" }] } });
  expect(new Window(folder).store.open(chat.id).chat).toMatchObject({ title: "A better name", attached: [{ label: "a", text: "b" }], last: chat.last });
});

test("a window gets the changes of another, and none of its own", () => {
  const folder = newFolder();
  const [one, two] = [new Window(folder), new Window(folder)];
  const chat = newChat("echo");
  const turn = one.say(chat, "hello");
  for (const window of [one, two]) window.store.look();
  expect(one.received).toEqual([]);
  expect(two.received).toMatchObject([{ chat: { id: chat.id, title: "hello" }, turns: [{ id: turn.id, answer: { text: "an answer" } }] }]);
  two.store.look();
  expect(two.received).toHaveLength(1);
});

test("an answer of another window is shown here, can be stopped here, and ends", () => {
  const folder = newFolder();
  const [one, two] = [new Window(folder), new Window(folder)];
  const chat = newChat("echo");
  const turn = one.ask(chat, "hello");
  expect(two.store.open(chat.id)).toMatchObject({ turns: [{ answer: { state: "connecting" } }], elsewhere: [turn.id] });
  expect(one.store.open(chat.id).elsewhere).toEqual([]);
  two.store.stopElsewhere(turn.id);
  one.store.look();
  expect(one.stops).toEqual([turn.id]);
  two.store.look();
  take(turn.answer, { type: "token", content: "text" });
  take(turn.answer, { type: "stopped" });
  one.store.updated(turn);
  two.store.look();
  expect(two.received.at(-1)?.turns).toMatchObject([{ id: turn.id, answer: { state: "stopped", text: "text" } }]);
});

test("a silent answer does not count as abandoned while its window is alive", () => {
  vi.useFakeTimers({ toFake: ["Date"] });
  const folder = newFolder();
  const [one, two] = [new Window(folder), new Window(folder)];
  const chat = newChat("echo");
  const turn = one.ask(chat, "a slow model");
  for (let seconds = 0; seconds < 120; seconds += 4) {
    vi.setSystemTime(Date.now() + 4000);
    one.store.look();
    expect(two.store.open(chat.id).turns[0]?.answer.state).toBe("connecting");
  }
  expect(statSync(join(folder, chat.id, `${turn.id}.json`)).mtimeMs).toBeGreaterThan(Date.now() - LEASE);
  vi.useRealTimers();
});

test("when the window that runs an answer is gone, other windows are notified", () => {
  const folder = newFolder();
  const [one, two] = [new Window(folder), new Window(folder)];
  const chat = newChat("echo");
  const turn = one.ask(chat, "hello");
  two.store.look();
  two.store.open(chat.id);
  forsake(folder, chat.id, turn.id);
  two.store.look();
  expect(two.received.at(-1)?.turns).toMatchObject([{ id: turn.id, answer: { state: "stopped", reason: "the window was closed" } }]);
  two.store.look();
  expect(two.received).toHaveLength(2); // it was told once
});

test("a chat that one window deletes does not come back from another, and what is said there meanwhile can be had by Undo", () => {
  const folder = newFolder();
  const [one, two] = [new Window(folder), new Window(folder)];
  const chat = newChat("echo");
  one.say(chat, "first");
  one.store.save({ chat: { id: chat.id, deleted: Date.now() } });
  const late = newTurn(chat, { text: "late" }, AGENT);
  const now = two.store.save({ chat: { id: chat.id, last: late.id, updated: Date.now() + 1 }, turns: [late] });
  expect(now?.chat.deleted).toBeGreaterThan(0); // so its view can say so
  expect(new Window(folder).store.list()).toEqual([]);
  two.store.look();
  expect(two.received[0]?.chat.deleted).toBeGreaterThan(0);
  one.store.save({ chat: { id: chat.id, deleted: 0 } });
  expect(new Window(folder).questions).toEqual({ first: ["first", "late"] });
});

test("what was deleted leaves no text on the disk, once it can't be undone, and still does not come back", () => {
  const folder = newFolder();
  const one = new Window(folder);
  const [gone, kept] = [newChat("echo"), newChat("echo")];
  one.say(gone, "a private question");
  one.say(kept, "another");
  one.store.keepDraft(gone.id, "a private draft");
  const deleted = Date.now();
  one.store.save({ chat: { id: gone.id, deleted } });
  one.files.tidy(deleted + 9 * MINUTE);
  expect(one.asked(gone.id)).toEqual(["a private question"]);
  one.files.tidy(deleted + 11 * MINUTE);
  const files = readdirSync(join(folder, gone.id));
  expect(files).toEqual(["chat.jsonl"]);
  expect(readFileSync(join(folder, gone.id, "chat.jsonl"), "utf8")).not.toContain("private");
  new Window(folder).store.save({ chat: { id: gone.id, title: "back" } });
  expect(new Window(folder).questions).toEqual({ another: ["another"] });
  one.files.tidy(deleted + 31 * 24 * 60 * MINUTE);
  expect(existsSync(join(folder, gone.id))).toBe(false);
  expect(new Window(folder).questions).toEqual({ another: ["another"] });
});

test.each([
  ["cut off", (text: string) => text.slice(0, -1)],
  ["empty", () => ""],
  ["nulls", (text: string) => "\0".repeat(text.length)],
  ["no JSON", () => "{]"],
  ["something else", () => '{"id": 7}'],
  ["null", () => "null"],
  ["of another chat", (text: string) => text.replace(/"chat":"[0-9a-f]{24}"/, `"chat":"${"0".repeat(24)}"`)],
])("a damaged turn (%s) hides no other, is counted, and stays where it is", (_, damage) => {
  const folder = newFolder();
  const one = new Window(folder);
  const [chat, other] = [newChat("echo"), newChat("echo")];
  one.say(chat, "first");
  const turn = one.say(chat, "second");
  one.say(chat, "third");
  one.say(other, "another chat");
  const path = join(folder, chat.id, `${turn.id}.json`);
  const damaged = damage(readFileSync(path, "utf8"));
  writeFileSync(path, damaged);
  const next = new Window(folder);
  expect(next.questions).toEqual({ first: ["first", "third"], "another chat": ["another chat"] });
  expect(next.store.open(chat.id).damaged).toBe(1);
  expect(readFileSync(path, "utf8")).toBe(damaged);
});

test("a turn that cannot be read at all hides no other", () => {
  const folder = newFolder();
  const one = new Window(folder);
  const chat = newChat("echo");
  const turn = one.say(chat, "first");
  one.say(chat, "second");
  rmSync(join(folder, chat.id, `${turn.id}.json`));
  mkdirSync(join(folder, chat.id, `${turn.id}.json`));
  expect(new Window(folder).store.open(chat.id)).toMatchObject({ damaged: 1, turns: [{ question: { text: "second" } }] });
});

test("a chat whose own record is damaged or lost is rebuilt from its turns", () => {
  const folder = newFolder();
  const one = new Window(folder);
  const chat = newChat("echo");
  one.say(chat, "first");
  const last = one.say(chat, "second");
  const head = join(folder, chat.id, "chat.jsonl");
  writeFileSync(head, "\0\0\0\n{]");
  expect(new Window(folder).store.list()).toMatchObject([{ id: chat.id, title: "first", last: last.id, agent: "echo" }]);
  rmSync(head);
  expect(new Window(folder).questions).toEqual({ first: ["first", "second"] });
});

test("a record truncated anywhere loses at most that change, and no later one", () => {
  const folder = newFolder();
  const one = new Window(folder);
  const chat = newChat("echo");
  one.say(chat, "first");
  const head = join(folder, chat.id, "chat.jsonl");
  const before = readFileSync(head);
  one.store.save({ chat: { id: chat.id, title: "changed", renamed: true } });
  const after = readFileSync(head);
  for (let end = before.length; end <= after.length; end++) {
    writeFileSync(head, after.subarray(0, end));
    expect(["first", "changed"]).toContain(new Window(folder).store.chat(chat.id)?.title);
    new Window(folder).store.save({ chat: { id: chat.id, agent: "later" } });
    expect(new Window(folder).store.chat(chat.id)).toMatchObject({ agent: "later", last: chat.last });
  }
});

const HOSTILE = ["..", ".", "", "../elsewhere", "a/b", "/etc/passwd", "con", "0".repeat(23), "A".repeat(24), `${"0".repeat(24)}/..`, "\0", "__proto__", 7, null, undefined, {}];

test.each([...HOSTILE.map((value) => [JSON.stringify(value), value]), ["of a megabyte", "a".repeat(1_000_000)]])("the id %s names no file", (_, value) => {
  const above = newFolder();
  const folder = join(above, "chats");
  const one = new Window(folder);
  const good = newChat("echo");
  one.say(good, "q");
  const id = value as string;
  const look = () => readdirSync(above, { recursive: true }).sort();
  const before = look();
  const turn = newTurn(good, { text: "q" }, AGENT);
  expect(one.store.save({ chat: { id, title: "t" } })).toBeUndefined();
  expect(one.store.save({ chat: { id: good.id }, turns: [{ ...turn, id, answer: { ...turn.answer, turn: id } }] })).toBeUndefined();
  expect(one.store.save({ chat: { id: good.id }, turns: [{ ...turn, chat: id }] })).toBeUndefined();
  expect(one.store.open(id)).toEqual({ turns: [], elsewhere: [] });
  expect(one.store.chat(id)).toBeUndefined();
  expect(one.store.begin(id)).toBeUndefined();
  one.store.keepDraft(id, "draft");
  if (id !== undefined) one.store.show("view", id);
  one.store.stopElsewhere(id);
  one.store.dispose();
  expect(look()).toEqual(before);
  expect(one.troubles).toEqual([]);
});

test("only a valid id becomes a file name, even after a mistake elsewhere", () => {
  const { files } = new Window(newFolder());
  const turn = newTurn(newChat("echo"), { text: "q" }, AGENT);
  for (const id of ["../x", "..", "", "a/b"]) {
    for (const act of [
      () => files.write({ ...turn, id }),
      () => files.write({ ...turn, chat: id }),
      () => files.change({ id }),
      () => files.writeDraft(id, "text"),
      () => files.turn(id, turn.id),
      () => files.turn(turn.chat, id),
      () => files.show("view", id),
      () => files.open(id),
    ]) {
      expect(act).toThrow("is not the id of a chat or a turn");
    }
  }
  expect(readdirSync(files.folder)).toEqual([]);
});

test("foreign files in the folder are ignored", () => {
  const folder = newFolder();
  new Window(folder).say(newChat("echo"), "mine");
  writeFileSync(join(folder, "notes.txt"), "");
  mkdirSync(join(folder, "some folder"));
  writeFileSync(join(folder, "0".repeat(24)), "a file with the name of a chat");
  mkdirSync(join(folder, "1".repeat(24)));
  writeFileSync(join(folder, "view.json"), '"../elsewhere"');
  const next = new Window(folder);
  expect(next.questions).toEqual({ mine: ["mine"] });
  expect(next.store.shown("view")).toBeUndefined();
  expect(next.troubles).toEqual([]);
});

test("each place remembers its chat", () => {
  const folder = newFolder();
  const [a, b] = [newChat("").id, newChat("").id];
  const one = new Window(folder);
  one.store.show("view", a);
  one.store.show("tab", b);
  const next = new Window(folder);
  expect([next.store.shown("view"), next.store.shown("tab")]).toEqual([a, b]);
  next.store.show("tab", undefined);
  const last = new Window(folder);
  expect([last.store.shown("view"), last.store.shown("tab")]).toEqual([a, undefined]);
  // Each window knows what it shows, whatever another one does.
  expect([one.store.shown("view"), one.store.shown("tab")]).toEqual([a, b]);
  // A reloaded window closes its tabs.
  last.store.dispose();
  last.store.show("view", undefined);
  expect(new Window(folder).store.shown("view")).toBe(a);
});

test("a draft is kept, listed by its first line even alone, and forgotten when it is empty", () => {
  const folder = newFolder();
  const one = new Window(folder);
  const [alone, asked] = [newChat("echo"), newChat("echo")];
  one.say(asked, "q");
  one.store.keepDraft(alone.id, "An unfinished\nthought");
  one.store.keepDraft(asked.id, "more");
  expect(one.store.open(asked.id).draft).toBe("more");
  one.store.dispose();
  const next = new Window(folder);
  expect(next.store.list().map(({ title }) => title).sort()).toEqual(["An unfinished", "q"]); // prettier-ignore
  expect(next.store.open(alone.id)).toMatchObject({ draft: "An unfinished\nthought", turns: [] });
  next.store.keepDraft(alone.id, "");
  next.store.dispose();
  expect(new Window(folder).store.list()).toHaveLength(1);
});

test("a chat is found by its title, its questions and its answers", async () => {
  const one = new Window(newFolder());
  const chats = [newChat("echo"), newChat("echo"), newChat("echo"), newChat("echo")];
  const [title, question, answer, none] = chats.map(({ id }) => id);
  one.say({ ...chats[0]!, title: "About Äpfel" }, "q");
  one.say(chats[1]!, 'Where are "my\näpfel"?');
  one.say(chats[2]!, "q", "ÄPFEL \\ grow on trees");
  one.say(chats[3]!, "role assistant", "agent");
  expect((await one.store.find(" äpfel ")).sort()).toEqual([title, question, answer].sort());
  expect(await one.store.find('"MY\nä')).toEqual([question]);
  expect(await one.store.find("\\ grow")).toEqual([answer]);
  expect(await one.store.find("assistant")).toEqual([none]); // and not the names of fields
  expect(await one.store.find(" ")).toEqual([]);
});

test("a workspace folder that cannot be read is reported", () => {
  const folder = newFolder();
  new Window(folder).say(newChat("echo"), "q");
  renameSync(folder, `${folder}.away`);
  writeFileSync(folder, "a file instead");
  const one = new Window(folder);
  expect(one.store.list()).toEqual([]);
  expect(one.troubles).toMatchObject([{ message: "The chats cannot be read: the extension's folder cannot be used (ENOTDIR).", unkept: [] }]);
  const chat = newChat("echo");
  one.ask(chat, "what is written now");
  expect(one.troubles.at(-1)).toMatchObject({ message: expect.stringContaining("not stored"), unkept: [chat.id] });
});
