// The chats of a workspace, ready to use: those of older versions taken over, and what nobody needs any more removed.

import { createHash } from "node:crypto";
import { join } from "node:path";
import { ChangeLog } from "./changeLog.js";
import { ChatFiles } from "./chatFiles.js";
import { ChatStore } from "./chatStore.js";
import { migrate } from "./migrate.js";

/** `folder` holds those of all workspaces; `say` is told what could not be done, and where it lies. */
export function openChats(folder: string, workspace: string, say: (line: string) => void): ChatStore {
  const mine = join(folder, createHash("sha256").update(workspace).digest("hex").slice(0, 32));
  const files = new ChatFiles(mine);
  const left = migrate(files);
  if (left) say(`${left} chats of an older version could not be imported; they remain in ${mine}`);
  try {
    files.tidy();
  } catch (error) {
    say(`Obsolete files could not be removed from ${mine}: ${String(error)}`);
  }
  return new ChatStore(files, new ChangeLog(join(mine, "changes.jsonl")));
}
