// Run a workflow's steps, one after the other: only a complete result is passed on, whatever happens to a step.

import { newAnswer, take, type Answer } from "../../../aura_core/web/chat.js";
import type { TurnEvent } from "../../../aura_core/web/host-types.js";
import type { Asked } from "../server.js";
import type { Step } from "./file.js";
import { fill, type Values } from "./inputs.js";

export type { Answer };

export type Turn = (asked: Asked, emit: (event: TurnEvent) => void, signal: AbortSignal) => Promise<void>;

/** The listener for a run. `ended` is called once for every started step, right after its last event. */
export interface Audience {
  began(step: number, answer: Answer): void;
  received(step: number, event: TurnEvent): void;
  ended(step: number): void;
}

export class WorkflowRun {
  readonly started = new Date();
  /** One for each started step. */
  readonly answers: (Answer | undefined)[];
  readonly steps: readonly Step[];
  readonly inputs: Values;
  #turn;
  #audience;
  #now: { step: number; abort: AbortController } | undefined;
  #stopped = false;

  /** `before` are the results of an earlier run that are still valid; it had the same inputs. */
  constructor(steps: readonly Step[], before: readonly (Answer | undefined)[], turn: Turn, audience: Audience, inputs: Values = {}) {
    this.steps = steps;
    this.inputs = inputs;
    this.answers = steps.map((_, step) => before[step]);
    this.#turn = turn;
    this.#audience = audience;
  }

  /** Run the steps `from` to `to` (inclusive), until one does not succeed. Earlier results from `from` on are dropped. */
  async run(from = 0, to = this.steps.length - 1): Promise<void> {
    if (from > 0 && wholeResult(this.answers[from - 1]) === undefined) {
      throw new Error(`Step ${from} has no complete result for step ${from + 1}.`);
    }
    this.answers.fill(undefined, from);
    for (let step = from; step <= to && !this.#stopped; step++) {
      await this.#step(step);
      if (wholeResult(this.answers[step]) === undefined) return;
    }
  }

  /** Stop the running step: its text is kept and marked as partial, and no further step starts. */
  stop(reason?: string): void {
    this.#stopped = true;
    const now = this.#now;
    if (!now) return;
    // Emitted before the connection is closed, so that it is written even if this process ends now.
    this.#receive(now.step, reason ? { type: "stopped", reason } : { type: "stopped" });
    now.abort.abort();
  }

  async #step(step: number): Promise<void> {
    const { agent, prompt } = this.steps[step] as Step;
    const answer = newAnswer({ id: agent, model: agent });
    const abort = new AbortController();
    this.answers[step] = answer;
    this.#now = { step, abort };
    this.#audience.began(step, answer);
    const context = step > 0 ? wholeResult(this.answers[step - 1]) : undefined;
    await this.#turn({ agent, prompt: fill(prompt, this.inputs), ...(context ? { context } : {}) }, (event) => this.#receive(step, event), abort.signal);
    this.#now = undefined;
  }

  #receive(step: number, event: TurnEvent): void {
    const answer = this.answers[step];
    if (!answer || !take(answer, event)) return;
    this.#audience.received(step, event);
    if (["done", "error", "stopped"].includes(event.type)) this.#audience.ended(step);
  }
}

/** The text of a completed step; a partial text is not a result. */
export function wholeResult(answer: Answer | undefined): string | undefined {
  return answer?.state === "done" ? answer.text : undefined;
}
