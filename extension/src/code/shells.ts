// The languages whose code belongs into a terminal.

/** Names of languages whose code a terminal takes. */
export const SHELLS = ["sh", "bash", "shell", "shellscript", "zsh", "fish", "console", "terminal", "powershell", "pwsh", "ps1", "bat", "cmd"];
