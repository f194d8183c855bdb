// The page of a webview: one script, one style sheet, and a policy that allows nothing else.

import { randomBytes } from "node:crypto";
import * as vscode from "vscode";

export function html(webview: vscode.Webview, extension: vscode.Uri, name: "chat" | "workflow", title: string): string {
  const file = (ending: string) => webview.asWebviewUri(vscode.Uri.joinPath(extension, "dist", name + ending)).toString();
  const nonce = randomBytes(16).toString("base64url");
  const policy = [
    "default-src 'none'",
    `script-src 'nonce-${nonce}'`,
    `style-src ${webview.cspSource}`,
    "base-uri 'none'",
    "form-action 'none'",
  ];
  return `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta http-equiv="Content-Security-Policy" content="${policy.join("; ")}">
    <title>${title}</title>
    <link rel="stylesheet" href="${file(".css")}">
  </head>
  <body>
    <script nonce="${nonce}" src="${file(".js")}"></script>
  </body>
</html>`;
}

/** The permissions of our webviews. */
export function options(extension: vscode.Uri): vscode.WebviewOptions {
  return { enableScripts: true, enableForms: true, localResourceRoots: [vscode.Uri.joinPath(extension, "dist")] };
}
