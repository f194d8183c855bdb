// A place that shows a chat: the order of its view's events, and invalid messages.

import { expect, test, vi } from "vitest";
import { newTurn, take } from "../../../aura_core/web/chat.js";
import type { Change, HostEvent } from "../../../aura_core/web/host-types.js";
import { ChatSurface, type Around } from "../../src/providers/chatSurface.js";
import { Server } from "../../src/server.js";
import { Turns } from "../../src/turns.js";
import type { FromChat, ToChat } from "../../src/webview/messages.js";
import { AGENT, newChat, newFolder, Window } from "./window.js";

vi.mock("vscode", () => ({
  Uri: { joinPath: (uri: object) => uri },
  commands: { executeCommand: () => Promise.resolve() },
  window: { showSaveDialog: () => Promise.resolve(undefined) },
  workspace: { getConfiguration: () => ({ get: () => "stop" }) },
}));

function place(window = new Window(newFolder())) {
  const { store } = window;
  const server = new Server({ url: () => "http://127.0.0.1:9", token: () => Promise.resolve(undefined), log: () => {} });
  const turns = new Turns(server, store, { changed: () => {}, ended: () => {} });
  const changes: Change[] = [];
  const titles: string[] = [];
  const around = { chats: store, turns, greeting: () => [], shownElsewhere: () => false } as unknown as Around;
  around.changed = (change) => changes.push(change);
  around.titled = (title) => titles.push(title);
  const posted: ToChat[] = [];
  let send: (message: FromChat) => void = () => {};
  const surface = new ChatSurface("view", around);
  surface.visible = true;
  surface.show({
    asWebviewUri: () => "",
    onDidReceiveMessage: (listener: typeof send) => (send = listener),
    postMessage: (message: ToChat) => Promise.resolve(posted.push(structuredClone(message))),
  } as unknown as Parameters<ChatSurface["show"]>[0]);
  const events = () => posted.flatMap((message): HostEvent[] => (message.type === "events" ? message.events : []));
  return { window, store, turns, surface, posted, changes, titles, events, send: (message: FromChat) => send(message) };
}

const attach: HostEvent = { type: "attach", label: "notes.txt", text: "new" };

test("an attachment added while a view loads waits for the existing ones", async () => {
  const { window, store, surface, posted, send } = place();
  const chat = { ...newChat("echo"), attached: [{ label: "a", text: "old" }] };
  window.say(chat, "q");
  store.show("view", chat.id);
  const told = surface.tellWhenLoaded(attach);
  send({ type: "load" });
  send({ type: "open", chat: chat.id, id: 1 });
  await told;
  await vi.waitFor(() => expect(posted.at(-1)).toEqual({ type: "events", events: [attach] }), 10_000);
  expect(posted.map(({ type }) => type)).toEqual(["loaded", "answered", "events"]);
  expect(posted[1]).toMatchObject({ id: 1, value: { chat: { attached: chat.attached } } });
});

test("without a chat to open, it does not wait", async () => {
  const { surface, posted, send } = place();
  const told = surface.tellWhenLoaded(attach);
  send({ type: "load" });
  await told;
  await vi.waitFor(() => expect(posted.map(({ type }) => type)).toEqual(["loaded", "events"]), 10_000);
});

test("events from before a chat is opened come first, and are included in it", async () => {
  const { store, surface, posted, send } = place();
  const chat = newChat("echo");
  const turn = newTurn(chat, { text: "q" }, AGENT);
  send({ type: "load" });
  send({ type: "save", change: { chat: { ...chat, last: turn.id }, turns: [turn] } });
  const running = store.begin(turn.id);
  for (const content of ["one ", "two"]) {
    take(running!.answer, { type: "token", content });
    surface.receive({ type: "token", content, turn: turn.id });
  }
  send({ type: "open", chat: chat.id, id: 7 });
  const opened = posted.at(-1);
  expect(opened).toMatchObject({ type: "answered", value: { turns: [{ answer: { text: "one two" } }], elsewhere: [] } });
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect(posted.at(-1)).toEqual(opened);
});

test("a change is reported to the others; a change of a chat deleted elsewhere is answered with the deletion", async () => {
  const { window, changes, events, send } = place();
  const chat = newChat("echo");
  window.say(chat, "q");
  send({ type: "load" });
  send({ type: "save", change: { chat: { id: chat.id, title: "renamed", renamed: true } } });
  expect(changes).toMatchObject([{ chat: { title: "renamed" } }]);
  new Window(window.files.folder).store.save({ chat: { id: chat.id, deleted: 5 } });
  send({ type: "save", change: { chat: { id: chat.id, title: "again" } } });
  await vi.waitFor(() => expect(events()).toMatchObject([{ type: "changed", chat: { id: chat.id, deleted: 5 } }]), 10_000);
  expect(changes).toHaveLength(1);
});

test("the place knows its chat and reports its title", () => {
  const { surface, titles, send } = place();
  const { id } = newChat("echo");
  send({ type: "shown", chat: id, title: "A title" });
  expect([surface.current, titles]).toEqual([id, ["A title"]]);
  send({ type: "shown", chat: "../elsewhere", title: "x" });
  expect(surface.current).toBe(id);
});

test.each<unknown>([
  { type: "save" },
  { type: "save", change: null },
  { type: "save", change: { chat: 7, turns: "x" } },
  { type: "save", change: { chat: { id: "../x" }, turns: [null] } },
  { type: "open", chat: null, id: 1 },
  { type: "draft", chat: {}, text: [] },
  { type: "stop", turn: {} },
  { type: "ask", ask: null },
  { type: "ask", ask: { turn: "../x" } },
  { type: "shown" },
  { type: "find", id: 2 },
  { type: "export" },
  { type: "something" },
])("an odd message, %j, changes nothing and breaks nothing", async (message) => {
  const { send, changes, window } = place();
  send({ type: "load" });
  send(message as FromChat);
  await new Promise((resolve) => setTimeout(resolve, 20));
  expect(changes).toEqual([]);
  expect(window.store.list()).toEqual([]);
  expect(window.troubles).toEqual([]);
});
