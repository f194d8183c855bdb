// Put a command of an answer into the terminal, without running it: the user reads it there, and presses Enter.

import * as vscode from "vscode";

/** The commands in a block: without prompts and, where there are prompts, without output; nothing that a terminal obeys. */
export function commandsIn(code: string): string[] {
  const lines = code.split(/\r\n|\r|\n/).map((line) => [...line].filter(isHarmless).join("").trimEnd());
  const prompted = lines.filter((line) => line.startsWith("$ ")).map((line) => line.slice(2).trim());
  return (prompted.length ? prompted : lines).filter((line) => line);
}

/** Whether a terminal shows this character. It obeys control characters, such as Escape, ^C, and in some the C1 set. */
function isHarmless(character: string): boolean {
  const code = character.codePointAt(0) ?? 0;
  return character === "\t" ? false : code >= 0x20 && code !== 0x7f && !(code >= 0x80 && code < 0xa0);
}

export async function insertInTerminal(code: string): Promise<void> {
  const lines = commandsIn(code);
  if (lines.length === 0) return;
  if (lines.length > 1) {
    // Each line end is an Enter.
    const run = "Run Them";
    const detail = lines.slice(0, 12).join("\n") + (lines.length > 12 ? "\n…" : "");
    const message = `The terminal runs all of these ${lines.length} lines but the last at once.`;
    if ((await vscode.window.showWarningMessage(message, { modal: true, detail }, run)) !== run) return;
  }
  const terminal = vscode.window.activeTerminal ?? vscode.window.createTerminal();
  terminal.show();
  terminal.sendText(lines.join("\n"), false);
}
