// @ts-check
// Where one writes: Enter sends, Shift+Enter breaks the line; Send and Stop are two buttons, so a double click stops nothing.

import { Attachments } from "./attachments.js";
import { h } from "./dom.js";

export class Composer {
  #send = h("button", { type: "submit", class: "send" }, "Send");
  #stop = h("button", { type: "button", class: "stop", hidden: true }, "Stop");
  #running = false;
  #draft;

  /**
   * @param {(text: string) => void} send
   * @param {() => void} stop
   * @param {(draft: import("./host-types.js").Draft) => void} [draft]
   */
  constructor(send, stop, draft = () => {}) {
    this.#draft = draft;
    this.attached = new Attachments(() => this.#changed());
    this.input = h("textarea", { rows: "1", "aria-label": "Message", "aria-keyshortcuts": "Enter", name: "message" });
    const keys = "Enter sends · Shift+Enter breaks the line · Esc stops";
    const buttons = h("div", { class: "buttons" }, h("span", { class: "keys" }, keys), this.#stop, this.#send);
    this.element = h("form", { class: "composer" }, this.attached.element, this.input, buttons);
    this.#stop.addEventListener("click", () => {
      stop();
      this.input.focus();
    });
    this.element.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit(send);
    });
    this.input.addEventListener("keydown", (event) => {
      // While an input method composes a word, Enter only accepts it.
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      this.#submit(send);
    });
    this.input.addEventListener("input", () => this.#changed());
    this.#fit();
  }

  /** @param {(text: string) => void} send */
  #submit(send) {
    const text = this.input.value;
    if (this.#running || !text.trim()) return;
    this.input.value = "";
    this.#changed();
    this.input.focus();
    send(text);
  }

  #changed() {
    this.#fit();
    this.#draft({ text: this.input.value, attached: this.attached.list });
  }

  #fit() {
    this.#send.disabled = this.#running || !this.input.value.trim();
    if (CSS.supports("field-sizing", "content")) return;
    this.input.style.height = "auto";
    this.input.style.height = `${this.input.scrollHeight}px`;
  }

  /** @param {import("./host-types.js").Draft} draft */
  set draft({ text, attached }) {
    this.input.value = text;
    this.attached.list = attached;
  }

  /** @param {boolean} running */
  set running(running) {
    this.#running = running;
    this.#stop.hidden = !running;
    this.#fit();
  }

  /** @param {string} name */
  set to(name) {
    this.input.placeholder = `Message ${name}`;
  }
}
