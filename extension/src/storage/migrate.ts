// Import the chats of version 0.1, one file for each; files that cannot be imported are not changed.

import { readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { closeOpenEnd, fromMessages } from "../../../aura_core/web/records.js";
import type { ChatFiles } from "./chatFiles.js";

/** Returns how many of them could not be imported. */
export function migrate(files: ChatFiles): number {
  let left = 0;
  for (const name of names(files.folder)) {
    const path = join(files.folder, name);
    try {
      const taken = fromMessages(JSON.parse(readFileSync(path, "utf8")));
      if (!taken) throw new Error("unknown format");
      // The last import may have been interrupted by a crash.
      for (const turn of taken.turns.filter(({ chat, id }) => !files.turn(chat, id))) {
        closeOpenEnd(turn, "the window was closed");
        files.write(turn);
      }
      if (!files.hasHead(taken.chat.id)) files.change(taken.chat);
      rmSync(path);
    } catch {
      left++; // damaged, or the disk is full: retried at the next start
    }
  }
  return left;
}

function names(folder: string): string[] {
  try {
    return readdirSync(folder).filter((name) => name.startsWith("chat_") && name.endsWith(".json"));
  } catch {
    return []; // there is no folder yet
  }
}
