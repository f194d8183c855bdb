// Open the chats of a workspace: import those of older versions, and remove obsolete files.

import { createHash } from "node:crypto";
import { join } from "node:path";
import { ChangeLog } from "./changeLog.js";
import { ChatFiles } from "./chatFiles.js";
import { ChatStore } from "./chatStore.js";
import { migrate } from "./migrate.js";

/** `folder` contains those of all workspaces; `say` reports failures, with the path. */
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
