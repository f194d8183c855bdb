// @ts-check
// The turns of a chat on the page: the version on display, painted within the time of a frame, followed at its end.

import { AnswerView } from "./answer.js";
import { isRunning } from "./chat.js";
import { h } from "./dom.js";
import { recolour } from "./highlight.js";
import { Painter } from "./painter.js";
import { QuestionView } from "./question.js";
import { setReachable } from "./reach.js";
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

/** Pixels above a message that the focus has moved to. */
const ABOVE = 8;

export class Conversation {
  #host;
  #name;
  #actions;
  #messages = h("div", { class: "messages" });
  #follow;
  /** @type {Shown[]} */
  #shown = [];
  #painter;
  /** @type {Shown | undefined} the one whose buttons Tab reaches: the last one, until the reader goes to another */
  #reached;

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
    this.log.ariaKeyShortcuts = "Alt+ArrowUp Alt+ArrowDown"; // both are in docs/page.md
    this.log.append(this.#messages);
    this.jump = h("button", { type: "button", class: "jump", hidden: true }, "Jump to latest ↓");
    this.#follow = new Follow(this.log, this.jump);
    this.#painter = new Painter((paint) => this.#follow.around(paint), (view) => this.#painted(view)); // prettier-ignore
    this.#messages.addEventListener("focusin", ({ target }) => {
      const shown = this.#shown.find((one) => holds(one, target));
      if (shown) this.#reach(shown);
    });
  }

  /** @param {Shown | undefined} shown  Tab reaches it from now on */
  #reach(shown) {
    if (shown === this.#reached) return;
    const before = this.#reached;
    this.#reached = shown;
    for (const one of [before, shown]) if (one) this.#mark(one);
  }

  /** @param {Shown} shown */
  #mark(shown) {
    setReachable(shown.question.element, shown === this.#reached);
    setReachable(shown.answer.element, shown === this.#reached);
  }

  /** An answer is on the page as far as it has arrived, or something in it has become a link. @param {AnswerView} view */
  #painted(view) {
    const shown = this.#shown.find(({ answer }) => answer === view);
    if (shown && shown !== this.#reached && !isRunning(shown.turn.answer)) setReachable(view.element, false);
  }

  /**
   * Move the focus to the message before or after the one that has it; from elsewhere to the last one.
   * @param {1 | -1} step
   * @returns {boolean} false at the end
   */
  move(step) {
    const messages = this.#shown.flatMap(({ question, answer }) => [question.element, answer.element]);
    const at = messages.findIndex((message) => message.contains(document.activeElement));
    const next = messages[at < 0 ? messages.length - 1 : Math.max(at + step, 0)];
    if (!next || (at < 0 && step > 0)) return false;
    next.focus({ preventScroll: true });
    this.log.scrollTop = next.offsetTop - this.log.offsetTop - ABOVE; // scrollIntoView would move the frame around a webview
    return true;
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
    const fresh = path.slice(same).map((turn) => this.#make(turn));
    for (const { question, answer } of fresh) this.#messages.append(question.element, answer.element);
    this.#shown.push(...fresh);
    for (const { turn, question } of this.#shown) question.versions(versions.of(turn), turn);
    recolour();
    this.#reach(this.#shown.at(-1));
    for (const shown of this.#shown) setReachable(shown.question.element, shown === this.#reached); // its buttons may be new
  }

  /** @param {Turn} turn */
  #make(turn) {
    const question = new QuestionView(turn, () => this.#actions.edit(turn), (version) => this.#step(turn, version)); // prettier-ignore
    return { turn, question, answer: this.#answer(turn) };
  }

  /** @param {Turn} turn */
  #answer(turn) {
    const { again, goOn, edit, otherAgent } = this.#actions;
    /** @type {AnswerView} */
    const view = new AnswerView(turn.answer, this.#name(turn.answer.agent), this.#host, {
      again: () => again(turn),
      goOn: () => goOn(turn),
      edit: () => edit(turn),
      otherAgent,
      linked: () => this.#painted(view),
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

/**
 * @param {Shown} shown
 * @param {EventTarget | null} target
 */
function holds({ question, answer }, target) {
  return target instanceof Node && (question.element.contains(target) || answer.element.contains(target));
}
