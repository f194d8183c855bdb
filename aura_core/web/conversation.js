// @ts-check
// The turns of a chat on the page: the version on display, painted within the time of a frame, followed at its end.

import { AnswerView } from "./answer.js";
import { isRunning } from "./chat.js";
import { h } from "./dom.js";
import { Painter } from "./painter.js";
import { QuestionView } from "./question.js";
import { Follow } from "./scroll.js";

/** @typedef {import("./chat.js").Turn} Turn */
/** @typedef {import("./versions.js").Versions} Versions */

/**
 * The user's actions for a turn.
 * @typedef {object} TurnActions
 * @property {(turn: Turn) => void} again
 * @property {(turn: Turn) => void} goOn
 * @property {(turn: Turn) => void} edit
 * @property {(version: Turn) => void} step
 * @property {() => void} otherAgent
 */

/** @typedef {{ turn: Turn, question: QuestionView, answer: AnswerView }} Shown */

export class Conversation {
  #host;
  #name;
  #actions;
  #messages = h("div", { class: "messages" });
  #follow;
  /** @type {Shown[]} */
  #shown = [];
  #painter;

  /**
   * @param {import("./host-types.js").Host} host
   * @param {(agent: string) => string} name  of an agent
   * @param {TurnActions} actions
   */
  constructor(host, name, actions) {
    this.#host = host;
    this.#name = name;
    this.#actions = actions;
    this.log = h("div", { class: "log", role: "log", "aria-live": "off", "aria-label": "Conversation", tabindex: "0" });
    this.log.append(this.#messages);
    this.jump = h("button", { type: "button", class: "jump", hidden: true }, "Jump to latest ↓");
    this.#follow = new Follow(this.log, this.jump);
    this.#painter = new Painter((paint) => this.#follow.around(paint));
  }

  /**
   * Show these turns. Turns that are already on the page are not changed.
   * @param {Turn[]} path
   * @param {Versions} versions
   */
  show(path, versions) {
    this.#follow.around(() => this.#replace(path, versions));
  }

  /**
   * @param {Turn[]} path
   * @param {Versions} versions
   */
  #replace(path, versions) {
    let same = 0;
    while (same < path.length && this.#shown[same]?.turn === path[same]) same++;
    for (const { question, answer } of this.#shown.splice(same)) {
      question.element.remove();
      answer.element.remove();
      this.#painter.remove(answer);
    }
    for (const turn of path.slice(same)) {
      const shown = this.#make(turn);
      this.#shown.push(shown);
      this.#messages.append(shown.question.element, shown.answer.element);
    }
    for (const { turn, question } of this.#shown) question.versions(versions.of(turn), turn);
  }

  /** @param {Turn} turn */
  #make(turn) {
    const question = new QuestionView(turn, () => this.#actions.edit(turn), (version) => this.#step(turn, version)); // prettier-ignore
    return { turn, question, answer: this.#answer(turn) };
  }

  /** @param {Turn} turn */
  #answer(turn) {
    const { again, goOn, edit, otherAgent } = this.#actions;
    const view = new AnswerView(turn.answer, this.#name(turn.answer.agent), this.#host, {
      again: () => again(turn),
      goOn: () => goOn(turn),
      edit: () => edit(turn),
      otherAgent,
    });
    this.#painter.add(view);
    return view;
  }

  /**
   * @param {Turn} from
   * @param {Turn} to
   */
  #step(from, to) {
    const at = this.#shown.findIndex(({ turn }) => turn === from);
    const top = this.#shown[at]?.question.element.offsetTop ?? 0;
    const label = document.activeElement?.ariaLabel ?? "";
    const offset = top - this.log.scrollTop;
    this.#actions.step(to);
    const now = this.#shown[at]?.question;
    if (!now) return;
    this.log.scrollTop = now.element.offsetTop - offset; // the reader stays at this question
    now.focus(label);
  }

  /** @param {string} id */
  #find(id) {
    return this.#shown.find(({ turn }) => turn.id === id);
  }

  /** @param {import("./host-types.js").TurnEvent & { turn: string }} event  already applied to the turn */
  receive(event) {
    const view = this.#find(event.turn)?.answer;
    view?.receive(event);
    if (view) this.#painter.add(view);
  }

  /** This turn was changed elsewhere. @param {Turn} turn  @param {boolean} grown  it has only become longer */
  changed(turn, grown) {
    const shown = this.#find(turn.id);
    if (!shown) return;
    if (grown) {
      shown.answer.refresh();
    } else {
      this.#painter.remove(shown.answer);
      const fresh = this.#answer(turn);
      shown.answer.element.replaceWith(fresh.element);
      shown.answer = fresh;
    }
    this.#painter.add(shown.answer);
  }

  /** Update the lines that count seconds. */
  tick() {
    for (const { turn, answer } of this.#shown) if (isRunning(turn.answer)) answer.tick();
  }

  toEnd() {
    this.#follow.toEnd();
  }
}
