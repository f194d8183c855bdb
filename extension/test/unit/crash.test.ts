// A process that is killed while it writes chats: everything reported as stored is there, and every file can be read.

import { build } from "esbuild";
import { spawn } from "node:child_process";
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { expect, test } from "vitest";
import { newFolder, Window } from "./window.js";

const KILLS = 12;

/** Ask, stream and end without a pause; each stored turn is reported on standard output. */
const WRITER = `
import { writeSync } from "node:fs";
import { Window, newChat } from "./window.js";
const one = new Window(process.argv[2]);
const chat = newChat("echo");
for (let number = 0; ; number++) {
  const turn = one.ask(chat, "question " + number);
  for (let part = 0; part < 3; part++) {
    turn.answer.text += "x".repeat(50_000);
    one.files.write(turn);
  }
  Object.assign(turn.answer, { state: "done", ended: Date.now() });
  one.store.updated(turn);
  writeSync(1, chat.id + " question " + number + "\\n");
}`;

test("kill -9 in mid-write loses nothing that was stored", { timeout: 120_000 }, async () => {
  const place = mkdtempSync(join(tmpdir(), "aura-crash-"));
  const outfile = join(place, "writer.cjs");
  await build({
    stdin: { contents: WRITER, resolveDir: resolve(import.meta.dirname), loader: "ts" },
    bundle: true,
    platform: "node",
    format: "cjs",
    outfile,
    logLevel: "error",
  });
  writeFileSync(join(place, "package.json"), "{}");
  const folder = newFolder();
  const kept: string[] = [];
  for (let kill = 0; kill < KILLS; kill++) {
    const child = spawn(process.execPath, [outfile, folder], { stdio: ["ignore", "pipe", "inherit"] });
    let said = "";
    let killing = false;
    await new Promise<void>((gone) => {
      child.once("exit", () => gone());
      child.stdout.on("data", (data: Buffer) => {
        said += data.toString();
        // After some turns, at a random moment of the next ones.
        if (said.split("\n").length < 4 + kill || killing) return; // several lines may come at once
        killing = true;
        setTimeout(() => child.kill("SIGKILL"), Math.random() * 15);
      });
    });
    kept.push(...said.split("\n").slice(0, -1));
  }
  expect(kept.length).toBeGreaterThan(KILLS * 3);
  const next = new Window(folder);
  const chats = next.store.list();
  expect(chats).toHaveLength(KILLS);
  const found = new Set<string>();
  for (const { id } of chats) {
    const { turns, damaged = 0 } = next.store.open(id);
    expect(damaged).toBe(0);
    for (const { question, answer } of turns) if (answer.text.length === 150_000) found.add(`${id} ${question.text}`);
  }
  expect(kept.filter((turn) => !found.has(turn))).toEqual([]);
});

