// A workflow in VS Code: its steps, their prompts, and their answers as they arrive.

import { AnswerView } from "../../../aura_core/web/answer.js";
import { isRunning, take, type Answer } from "../../../aura_core/web/chat.js";
import { h } from "../../../aura_core/web/dom.js";
import { Painter } from "../../../aura_core/web/painter.js";
import type { Step } from "../workflow/file.js";
import { Channel } from "./channel.js";
import type { FromWorkflow, Shown, ToWorkflow } from "./messages.js";

const channel = new Channel<FromWorkflow, ToWorkflow>((message) => {
  if (message.type === "workflow") show(message.shown);
  else if (message.type === "begin") steps[message.step]?.begin(message.answer);
  else for (const { step, event } of message.events) steps[step]?.receive(event);
});
const { copy, codeActions, remedies, whichFiles, openFile } = channel;
const host = { copy, codeActions, remedies, whichFiles, openFile };

class StepView {
  #step;
  #number;
  #answer: Answer | undefined;
  #view: AnswerView | undefined;
  #badge = h("span", { class: "badge" });
  #elapsed = h("span", { class: "elapsed" });
  #place = h("div", { class: "result" });
  #one;
  #from;
  element: HTMLLIElement;

  constructor(step: Step, number: number) {
    this.#step = step;
    this.#number = number;
    this.#one = button("Run this step", () => this.#run(number), step.name);
    this.#from = button("Run from here", () => this.#run(undefined), step.name);
    const head = h("div", { class: "head" }, h("h2", {}, `${number + 1}. ${step.name}`), this.#badge, this.#elapsed);
    const about = h("p", { class: "behind" }, step.agent);
    const prompt = h("details", { class: "prompt" }, h("summary", {}, "Prompt"), h("p", {}, step.prompt));
    const buttons = h("div", { class: "step-buttons" }, this.#one, this.#from);
    this.element = h("li", { class: "step" }, head, about, prompt, this.#place, buttons);
    this.tick();
  }

  set answer(answer: Answer | undefined) {
    if (same(this.#answer, answer)) return;
    this.#answer = answer;
    this.#view = answer && new AnswerView(answer, this.#step.name, host, { again: () => this.#run(this.#number) });
    this.#place.replaceChildren(...(this.#view ? [this.#view.element] : []));
    if (this.#view) painter.add(this.#view);
    this.tick();
  }

  begin(answer: Answer): void {
    this.answer = answer;
    say(`Step ${this.#number + 1}, ${this.#step.name}, has started`);
    follow(this.element);
  }

  receive(event: Parameters<typeof take>[1]): void {
    if (!this.#answer || !this.#view || !take(this.#answer, event)) return;
    this.#view.receive(event);
    painter.add(this.#view);
    if (!isRunning(this.#answer)) say(`Step ${this.#number + 1}, ${this.#step.name}: ${label(this.#answer)}`);
    this.tick();
  }

  /** Run this step, and those after it up to `to`. */
  #run(to: number | undefined): void {
    channel.post({ type: "run", from: this.#number, ...(to === undefined ? {} : { to }) });
  }

  /** Update badge and time. */
  tick(): void {
    const answer = this.#answer;
    this.element.dataset["state"] = answer ? (isRunning(answer) ? "running" : answer.state) : "waiting";
    this.#badge.textContent = label(answer);
    this.#elapsed.textContent = answer ? time((answer.ended ?? Date.now()) - answer.began) : "";
    this.#view?.tick();
  }

  /** `possible`: the previous step has a complete result, and nothing is running. */
  set possible(possible: boolean) {
    this.#one.disabled = this.#from.disabled = !possible;
  }
}

const painter = new Painter(staying);
let steps: StepView[] = [];
let key = "";
const title = h("h1");
const run = button("Run all", () => channel.post({ type: "run", from: 0 }));
const stop = button("Stop", () => channel.post({ type: "stop" }));
const file = button("Open file", () => channel.post({ type: "open" }));
const runs = button("Runs", () => channel.post({ type: "runs" }));
const given = h("p", { class: "given", hidden: true });
const notes = h("div", { class: "notes" });
const list = h("ol", { class: "steps" });
const log = h("div", { class: "log", role: "log", "aria-live": "off", "aria-label": "Steps", tabindex: "0" }, notes, given, list);
const status = h("p", { class: "status", role: "status" });

run.classList.add("send");
stop.classList.add("stop");
document.body.classList.add("aura", "workflow");
document.body.append(h("header", {}, title, h("div", { class: "actions" }, run, stop, runs, file)), h("main", {}, log), status);
document.body.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && !stop.hidden) channel.post({ type: "stop" });
});
setInterval(() => steps.forEach((step) => step.tick()), 1000);
channel.post({ type: "load" });

function show(shown: Shown): void {
  channel.state = { uri: shown.uri };
  title.textContent = shown.title;
  run.hidden = shown.running;
  stop.hidden = !shown.running;
  run.disabled = shown.problems.length > 0 || !shown.trusted;
  note(shown);
  const values = Object.entries(shown.inputs).map(([name, value]) => `${name}: ${value}`);
  given.hidden = values.length === 0;
  given.textContent = values.join(" · ");
  const now = JSON.stringify(shown.steps);
  if (now !== key) {
    key = now;
    steps = shown.steps.map((step, number) => new StepView(step, number));
    list.replaceChildren(...steps.map(({ element }) => element));
  }
  for (const [number, step] of steps.entries()) {
    step.answer = shown.answers[number] ?? undefined;
    const whole = number === 0 || shown.answers[number - 1]?.state === "done";
    step.possible = whole && shown.trusted && !shown.running;
  }
}

function note({ problems, agents, trusted, trouble, path }: Shown): void {
  notes.replaceChildren();
  if (problems.length) notes.append(listed(`${path} is invalid`, problems));
  if (agents.length) notes.append(listed("These steps cannot run", agents));
  if (!trusted) {
    const manage = button("Manage trust", () => channel.post({ type: "command", command: "workbench.trust.manage" }));
    notes.append(h("div", { class: "failure" }, h("p", {}, "Workflows do not run in a workspace that you do not trust."), manage));
  }
  if (trouble) notes.append(h("div", { class: "failure" }, h("p", {}, trouble)));
}

/** Problems with the lines that they are in. */
function listed(title: string, problems: Shown["problems"]): HTMLElement {
  const items = problems.map(({ line, message }) => {
    const open = h("button", { type: "button", class: "quiet", onclick: () => channel.post({ type: "open", line }) }, `Line ${line}`);
    return h("li", {}, open, ` ${message}`);
  });
  return h("div", { class: "failure" }, h("p", { class: "title" }, title), h("ul", {}, ...items));
}

/** Stay at the end of the steps where the reader is there. */
function staying(paint: () => void): void {
  const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight <= 24;
  paint();
  if (atEnd) log.scrollTop = log.scrollHeight;
}

/** Scroll a starting step into view, if the reader is following. scrollIntoView would also move the frame. */
function follow(element: HTMLElement): void {
  const { top, bottom } = log.getBoundingClientRect();
  const place = element.getBoundingClientRect();
  if (place.top > bottom - 60 || place.bottom < top) log.scrollTop += place.top - top - 12;
}

function same(a: Answer | undefined, b: Answer | undefined): boolean {
  return a === b || (!!a && !!b && a.turn === b.turn && a.state === b.state && a.text === b.text);
}

function label(answer: Answer | undefined): string {
  if (!answer) return "Not run";
  if (answer.state === "done") return "Done";
  if (answer.state === "failed") return answer.text ? "Failed; the text is partial" : "Failed";
  if (answer.state === "stopped") return answer.text ? "Stopped; the text is partial" : "Stopped";
  return "Running";
}

function time(ms: number): string {
  return ms < 60_000 ? `${(ms / 1000).toFixed(ms < 10_000 ? 1 : 0)} s` : `${Math.floor(ms / 60_000)} min ${Math.round((ms % 60_000) / 1000)} s`;
}

function button(text: string, onclick: () => void, about = ""): HTMLButtonElement {
  return h("button", { type: "button", onclick, ...(about ? { "aria-label": `${text}: ${about}` } : {}) }, text);
}

function say(text: string): void {
  status.textContent = text;
}
