// Print how long it takes with 10,000 turns in 200 chats to list them, open one, read every turn, and search.

import { build } from "esbuild";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

const CHATS = 200;
const TURNS = 50; // of each chat
const GOAL = 1000; // milliseconds until the list and one chat are loaded

const here = import.meta.dirname;
const outfile = resolve(here, "../.cache/bench/chats.bundle.mjs");
const parts = ["./storage/changeLog.js", "./storage/chatFiles.js", "./storage/chatStore.js", "../../aura_core/web/chat.js"];
await build({
  stdin: { contents: parts.map((part) => `export * from "${part}";`).join("\n"), resolveDir: resolve(here, "../src"), loader: "ts" },
  bundle: true,
  platform: "node",
  format: "esm",
  outfile,
  logLevel: "error",
});
const { ChangeLog, ChatFiles, ChatStore, newChat, newTurn } = await import(pathToFileURL(outfile).href);

const folder = mkdtempSync(join(tmpdir(), "aura-bench-"));
const answer = "An answer of some length, as models give them. ".repeat(40);
for (let number = 0; number < CHATS; number++) {
  const chat = { ...newChat("echo"), title: `Chat ${number}` };
  mkdirSync(join(folder, chat.id));
  for (let turn = 0; turn < TURNS; turn++) {
    const said = newTurn(chat, { text: `Question ${turn} of chat ${number}` }, { id: "echo", model: "echo" });
    Object.assign(said.answer, { text: answer, state: "done", ended: Date.now() });
    writeFileSync(join(folder, chat.id, `${said.id}.json`), JSON.stringify(said));
    chat.last = said.id;
  }
  writeFileSync(join(folder, chat.id, "chat.jsonl"), `${JSON.stringify(chat)}\n`);
}

async function measure(what, act) {
  const [began, cpu] = [performance.now(), process.cpuUsage()];
  const result = await act();
  const took = performance.now() - began;
  const { user, system } = process.cpuUsage(cpu);
  console.log(`${what}: ${Math.round(took)} ms, of the processor ${Math.round((user + system) / 1000)} ms`);
  return { result, took };
}

const store = new ChatStore(new ChatFiles(folder), new ChangeLog(join(folder, "changes.jsonl")));
const { result: list, took: listed } = await measure(`list ${CHATS} chats`, () => store.list());
const { took: opened } = await measure(`open one of ${TURNS} turns`, () => store.open(list[0].id));
const { result: turns } = await measure(`read all ${CHATS * TURNS} turns`, () => list.flatMap(({ id }) => store.open(id).turns));
const { result: found } = await measure("search them all", () => store.find("question 49 of chat 199"));
store.dispose();
rmSync(folder, { recursive: true });
if (turns.length !== CHATS * TURNS || found.length !== 1) throw new Error("something is missing");
console.log(`list and open, which is what one waits for: ${Math.round(listed + opened)} ms (goal ${GOAL})`);
process.exitCode = listed + opened > GOAL ? 1 : 0;
