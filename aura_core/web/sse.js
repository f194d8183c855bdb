// @ts-check
// Parse a text/event-stream into events, exactly as a browser's EventSource does, however it is split into chunks.

/**
 * An event, or a comment, whose `name` is COMMENT.
 * @typedef {{ name: string, data: string }} SseEvent
 */

/** No event has this name: without one it is called "message". */
export const COMMENT = "";

/** Maximum characters of an unfinished line; the server accepts lines of 8 MiB from a provider. */
export const MAX_LINE = 16 * 1024 * 1024;

export class SseParser {
  #decoder = new TextDecoder(); // removes one byte order mark, keeps UTF-8 that is split over chunks
  #line = "";
  #afterCR = false;
  #name = "";
  /** @type {string[]} */
  #data = [];

  /**
   * The events and comments that these bytes complete. Unknown fields are dropped.
   * @param {Uint8Array} bytes
   * @returns {SseEvent[]}
   */
  push(bytes) {
    const text = this.#decoder.decode(bytes, { stream: true });
    /** @type {SseEvent[]} */
    const events = [];
    let start = 0;
    for (let end = 0; end < text.length; end++) {
      const char = text.charCodeAt(end);
      if (char !== 10 && char !== 13) {
        this.#afterCR = false;
        continue;
      }
      const secondHalf = char === 10 && this.#afterCR; // of a CRLF, perhaps in another chunk
      this.#afterCR = char === 13;
      if (!secondHalf) {
        const event = this.#take(this.#line + text.slice(start, end));
        if (event) events.push(event);
        this.#line = "";
      }
      start = end + 1;
    }
    this.#line += text.slice(start);
    if (this.#line.length > MAX_LINE) throw new Error("a line of the stream is too long");
    return events;
  }

  /**
   * @param {string} line
   * @returns {SseEvent | undefined}
   */
  #take(line) {
    if (line === "") {
      const event = { name: this.#name || "message", data: this.#data.join("\n") };
      const complete = this.#data.length > 0;
      this.#name = "";
      this.#data = [];
      return complete ? event : undefined;
    }
    const colon = line.indexOf(":");
    if (colon === 0) return { name: COMMENT, data: line.slice(1).trim() };
    const field = colon < 0 ? line : line.slice(0, colon);
    let value = colon < 0 ? "" : line.slice(colon + 1);
    if (value.startsWith(" ")) value = value.slice(1);
    if (field === "data") this.#data.push(value);
    else if (field === "event") this.#name = value;
  }
}
