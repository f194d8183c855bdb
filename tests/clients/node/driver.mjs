// What the drivers of JavaScript clients share, as python/driver.py for those of Python ones.
import { createInterface } from "node:readline";

export const PROMPT = "Hello brave new world";
export const HISTORY = [
  { role: "system", content: "Be brief." },
  { role: "user", content: "My name is Alice." },
  { role: "assistant", content: "Hello Alice." },
  { role: "user", content: "What is my name?" },
];

/** Play what is asked for, a scenario's name a line, until there are no more lines. */
export async function play(scenarios) {
  const given = JSON.parse(process.argv[2]);
  for await (const line of createInterface({ input: process.stdin })) {
    const name = line.trim();
    const said = {};
    try {
      await scenarios[name](given, said);
    } catch (error) {
      Object.assign(said, {
        error: error?.name ?? "Error",
        message: String(error?.message ?? error),
        status: error?.status ?? error?.statusCode ?? error?.lastError?.statusCode ?? null,
      });
    }
    console.log("\n@" + JSON.stringify({ scenario: name, ...said }));
  }
  process.exit(0);
}

/** Add a piece of text to what was said. */
export function add(said, key, text) {
  if (!text) return;
  said[key] = (said[key] ?? "") + text;
  if (key === "text") said.pieces = (said.pieces ?? 0) + 1;
}
