// The Python environment that is active in this window: the one chosen in the Python extension, or that of VS Code itself.

import { dirname } from "node:path";
import * as vscode from "vscode";
import { programsOf } from "./findAura.js";

/** The part of the Python extension's API that is used here; see its documentation of `PythonExtension`. */
interface Python {
  environments?: {
    getActiveEnvironmentPath(resource?: vscode.Uri): { id: string; path: string };
    resolveEnvironment(path: { id: string; path: string }): Promise<{ executable: { uri?: vscode.Uri } } | undefined>;
  };
}

/** The folders with the programs of the active environments, the likeliest first. */
export async function activeEnvironments(folder: vscode.Uri | undefined): Promise<string[]> {
  const variables = [process.env["VIRTUAL_ENV"], process.env["CONDA_PREFIX"]].filter((path) => path !== undefined);
  return [...(await chosen(folder)), ...variables.map(programsOf)];
}

async function chosen(folder: vscode.Uri | undefined): Promise<string[]> {
  const extension = vscode.extensions.getExtension<Python>("ms-python.python");
  try {
    const environments = (await extension?.activate())?.environments;
    const environment = await environments?.resolveEnvironment(environments.getActiveEnvironmentPath(folder));
    const program = environment?.executable.uri?.fsPath;
    return program ? [dirname(program)] : [];
  } catch {
    return []; // it could not be activated: it reports that itself
  }
}
