// The event log of a page: lines appended as events come, and a follow mode that gives way when the reader scrolls up.

import { sentence, subject, visible } from "./words.js";

const MOST_LINES = 1000;
const BOTTOM_PX = 24;

export class EventLog {
  #root;
  #list;
  #scroller;
  #button;
  #follows = true;

  /** @param {Element} root of the execution; without a `[data-live="log"]` in it nothing happens. */
  constructor(root) {
    this.#root = root;
    this.#list = root.querySelector('[data-live="log"]');
    if (!this.#list) return;
    this.#scroller = this.#list.closest("[data-log-scroll]") ?? this.#list;
    this.#button = root.querySelector("[data-follow]");
    this.#scroller.addEventListener("scroll", () => this.#follow(this.#atBottom()), { passive: true });
    this.#button?.addEventListener("click", () => {
      this.#follow(!this.#follows);
      this.#toBottom();
    });
    if (this.#button) this.#button.hidden = false;
    this.#follow(true);
    this.#toBottom();
  }

  /** Append lines for events that the page does not show yet. */
  append(events) {
    if (!this.#list) return;
    const last = Number(this.#list.lastElementChild?.dataset.seq ?? 0);
    const lines = events.filter((event) => event.seq > last).slice(-MOST_LINES);
    this.#list.append(...lines.map((event) => this.#line(event)));
    // Whoever reads further up keeps what is being read.
    while (this.#follows && this.#list.childElementCount > MOST_LINES) this.#list.firstElementChild.remove();
    this.#toBottom();
  }

  #follow(follows) {
    this.#follows = follows;
    this.#button?.setAttribute("aria-pressed", String(follows));
  }

  #atBottom() {
    const { scrollHeight, scrollTop, clientHeight } = this.#scroller;
    return scrollHeight - scrollTop - clientHeight <= BOTTOM_PX;
  }

  #toBottom() {
    if (this.#follows) this.#scroller.scrollTop = this.#scroller.scrollHeight;
  }

  #line(event) {
    const line = make("li", "");
    line.dataset.seq = event.seq;
    line.dataset.type = event.type;
    const time = make("time", "", new Date(event.at).toLocaleTimeString([], { hourCycle: "h23" }));
    time.dateTime = event.at;
    time.dataset.format = "clock";
    const what = make("span", "what");
    what.append(this.#where(event));
    if (event.atom && event.attempt) what.append(" ", make("span", "type", `attempt ${event.attempt}`));
    what.append(` ${visible(sentence(event))}`);
    line.append(time, what);
    return line;
  }

  // An atom that the page shows as a link is a link here as well.
  #where(event) {
    if (!event.atom) return make("span", "where", subject(event));
    const cell = this.#root.querySelector(`[data-atom="${CSS.escape(event.atom)}"]`);
    const link = cell?.matches("a") ? cell : cell?.querySelector("a");
    if (!link) return make("span", "where", visible(event.atom));
    const made = make("a", "where", visible(event.atom));
    made.href = link.href;
    return made;
  }
}

function make(name, className, text = "") {
  const element = document.createElement(name);
  if (className) element.className = className;
  element.textContent = text;
  return element;
}
