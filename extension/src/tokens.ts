// The servers' tokens: one per server, in the system's secret storage, never in a setting or a log.

import * as vscode from "vscode";

export class Tokens {
  #secrets;

  constructor(secrets: vscode.SecretStorage) {
    this.#secrets = secrets;
  }

  get(origin: string): Promise<string | undefined> {
    return Promise.resolve(this.#secrets.get(key(origin)));
  }

  /** Ask for the token. Returns whether one was entered. */
  async ask(origin: string): Promise<boolean> {
    const token = await vscode.window.showInputBox({
      title: `Token for ${origin}`,
      prompt: "The value of AURA_TOKEN where the server runs. It is sent only to this server.",
      password: true,
      ignoreFocusOut: true,
      validateInput: (text) => (/^[\x20-\x7e]*$/.test(text.trim()) ? undefined : "A token contains only ASCII characters: no accents, no curly quotes."),
    });
    if (!token?.trim()) return false;
    await this.#secrets.store(key(origin), token.trim());
    return true;
  }

  async forget(origin: string): Promise<void> {
    await this.#secrets.delete(key(origin));
  }
}

function key(origin: string): string {
  return `aura.token:${origin}`;
}
