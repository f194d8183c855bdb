// A run's results on disk: .aura/runs/<workflow>/<time>.json, always written atomically.

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { newId } from "../../../aura_core/web/chat.js";
import { writeAtomically } from "../atomicWrite.js";
import type { Step } from "./file.js";
import type { Values } from "./inputs.js";
import type { Answer } from "./run.js";

/** A step as it is written. Only `output` is a result; `partial` is an incomplete text. */
export interface Written {
  name: string;
  agent: string;
  prompt: string;
  status: "done" | "failed" | "stopped";
  output?: string;
  partial?: string;
  reasoning?: string;
  totalTokens?: number;
  finishReason?: string;
  error?: { code: string; message: string };
  reason?: string;
  began: string;
  ended: string;
}

/** A run as it is written. The prompts are those of the file, with the places of the inputs. */
export interface RunFile {
  workflow: string;
  started: string;
  inputs?: Record<string, string>;
  steps: Written[];
}

/** What is left of earlier runs for a workflow as it is now. */
export interface Kept {
  answers: (Answer | undefined)[];
  inputs: Values;
}

export class RunStore {
  #folder;

  /** `folder` is the workspace's; `stem` names the workflow's file. */
  constructor(folder: string, stem: string) {
    // A stem of dots, as of `...yaml`, would lead out of the folder of the runs.
    this.#folder = join(folder, ".aura", "runs", stem.replaceAll(".", "") ? stem : "unnamed");
  }

  /** Write the finished steps of a run, atomically. */
  write(workflow: string, started: Date, steps: readonly Step[], answers: readonly (Answer | undefined)[], inputs: Values = {}): string {
    const written = steps.flatMap((step, index) => describe(step, answers[index]));
    const given = Object.keys(inputs).length ? { inputs: { ...inputs } } : {};
    const file: RunFile = { workflow, started: started.toISOString(), ...given, steps: written };
    const name = `${file.started.replaceAll(":", "-")}.json`;
    const path = join(this.#folder, name);
    writeAtomically(path, `${JSON.stringify(file, null, 2)}\n`);
    return path;
  }

  /** The latest run's inputs, and its answers for unchanged steps; results after a changed step are no longer valid. */
  read(steps: readonly Step[]): Kept {
    const run = this.#latest();
    const answers: (Answer | undefined)[] = [];
    for (const [index, { name, agent, prompt }] of steps.entries()) {
      const written = run?.steps[index];
      if (!written || written.name !== name || written.agent !== agent || written.prompt !== prompt) break;
      answers.push(answer(written));
    }
    return { answers, inputs: run?.inputs ?? {} };
  }

  /** The runs on disk, latest first. */
  *runs(): Generator<RunFile> {
    if (!existsSync(this.#folder)) return;
    const names = readdirSync(this.#folder).filter((name) => /^\d.*\.json$/.test(name));
    for (const name of names.sort().reverse()) {
      try {
        const run = JSON.parse(readFileSync(join(this.#folder, name), "utf8")) as RunFile;
        if (Array.isArray(run.steps) && run.steps.every(isWritten) && areValues(run.inputs)) yield run;
      } catch {
        // Another program's file, or an edited one: use the others.
      }
    }
  }

  #latest(): RunFile | undefined {
    for (const run of this.runs()) return run;
    return undefined;
  }
}

function areValues(inputs: unknown): boolean {
  if (inputs === undefined) return true;
  return typeof inputs === "object" && inputs !== null && Object.values(inputs).every((value) => typeof value === "string");
}

function describe({ name, agent, prompt }: Step, answer: Answer | undefined): Written[] {
  const { state, text, reasoning } = answer ?? {};
  if (!answer || (state !== "done" && state !== "failed" && state !== "stopped")) return [];
  const { totalTokens, finishReason, failure, reason, began, ended = Date.now() } = answer;
  return [
    {
      name,
      agent,
      prompt,
      status: state,
      ...(state === "done" ? { output: text ?? "" } : { partial: text ?? "" }),
      ...(reasoning ? { reasoning } : {}),
      ...(totalTokens === undefined ? {} : { totalTokens }),
      ...(finishReason === undefined ? {} : { finishReason }),
      ...(failure ? { error: { code: failure.code, message: failure.message } } : {}),
      ...(reason ? { reason } : {}),
      began: new Date(began).toISOString(),
      ended: new Date(ended).toISOString(),
    },
  ];
}

function answer(written: Written): Answer {
  const { agent, status, output, partial, reasoning = "", totalTokens, finishReason, error, reason } = written;
  return {
    role: "assistant",
    turn: newId(),
    agent,
    model: agent,
    state: status,
    text: output ?? partial ?? "",
    reasoning,
    pieces: 0,
    began: Date.parse(written.began),
    ended: Date.parse(written.ended),
    ...(totalTokens === undefined ? {} : { totalTokens }),
    ...(finishReason === undefined ? {} : { finishReason }),
    ...(error ? { failure: error } : {}),
    ...(reason ? { reason } : {}),
  };
}

function isWritten(value: unknown): value is Written {
  const step = value as Partial<Written> | null;
  const result = step?.status === "done" ? step.output : step?.partial;
  return typeof result === "string" && ["done", "failed", "stopped"].includes(step?.status ?? "");
}
