// The manifest, the code and the documentation agree.

import { readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { expect, test } from "vitest";
import { readWorkflow } from "../../src/workflow/file.js";

const root = resolve(import.meta.dirname, "../..");
const read = (name: string) => readFileSync(join(root, name), "utf8");

interface Manifest {
  capabilities: { untrustedWorkspaces: { restrictedConfigurations: string[] } };
  contributes: {
    commands: { command: string; title: string }[];
    configuration: { properties: Record<string, { scope: string; default: string; description?: string; markdownDescription?: string }> };
  };
}

const { contributes, capabilities } = JSON.parse(read("package.json")) as Manifest;
const docs = read("../docs/extension.md");

test("every command is registered and documented", () => {
  const code = read("src/extension.ts");
  for (const { command, title } of contributes.commands) {
    expect(code).toContain(`"${command}"`);
    if (command !== "aura.chatWith") expect(docs).toContain(`Aura: ${title}`);
  }
  const registered = [...code.matchAll(/^ {4}"(aura\.\w+)":/gm)].map(([, name]) => name);
  expect(registered.sort()).toEqual(contributes.commands.map(({ command }) => command).sort());
});

test("every setting is described, and documented with its default", () => {
  for (const [name, setting] of Object.entries(contributes.configuration.properties)) {
    expect(setting.description ?? setting.markdownDescription).toBeTruthy();
    expect(docs).toContain(`| \`${name}\` | \`${setting.default}\` |`);
  }
});

test("a workspace can neither name the server nor the command", () => {
  for (const name of ["aura.server.url", "aura.server.command"]) {
    expect(contributes.configuration.properties[name]?.scope).toBe("machine");
    expect(capabilities.untrustedWorkspaces.restrictedConfigurations).toContain(name);
  }
});

test("model output is never written as markup", () => {
  for (const file of readdirSync(join(root, "src"), { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".ts"))) {
    for (const word of ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("]) {
      expect(read(join("src", file)), file).not.toContain(word);
    }
  }
});

test.each(["../docs/extension.md", "README.md"])("the workflow in %s can be run", (page) => {
  const [block = ""] = [...read(page).matchAll(/^```yaml\n(.*?)^```$/gms)].map(([, text]) => text);
  expect(readWorkflow(block, "review")).toMatchObject({ workflow: { name: "Draft and review" }, problems: [] });
});

test("the limits in the documentation are those of the code", () => {
  expect(read("src/storage/chatFiles.ts")).toContain("const UNDO = 10 * 60_000;");
  expect(docs).toContain("ten minutes");
  expect(read("src/workflow/file.ts")).toContain("const LONGEST = 256 * 1024;");
  expect(docs).toContain("262,144 characters");
  expect(read("src/providers/chatSurface.ts")).toContain("const HIDDEN = 10_000;");
  expect(read("src/attach.ts")).toContain("const MOST = 200_000;");
});
