// Moves the page of one execution, in the dashboard and in the admin, without a request after the page has loaded.
// Load it with <script type="module">; it begins by itself. What it looks for:
//
//   [data-execution-id="<uuid>"][data-seq="<n>"]   the root; <n> is the number of the last event in the page as rendered
//
// Inside of the root, each any number of times:
//   [data-live="status"]                  the state's word; its data-status attribute, if it has one, is kept true
//   [data-live="counter:<name>"]          a number of the execution: atoms_succeeded, atoms_unsuccessful, atoms_failed,
//                                         atoms_blocked, atoms_cancelled, atoms_dead_lettered, atoms_static, atoms_ended,
//                                         atoms_total, attempts_total, attempts_passed, retries_total, retries_passed,
//                                         cache_hits, calls_total, input_tokens, output_tokens, current_wave, waves_total,
//                                         run_number
//   [data-live="current_wave"]            the same as counter:current_wave
//   progress[data-live="progress"]        value and max in atoms
//   [data-live="precision"]               percent, one decimal place at most; " %" follows if the page wrote it inside
//   [data-live="completion"]              likewise
//   [data-live="cost"]                    dollars
//   [data-live="status_reason"]           why it is in that state
//   [data-live="elapsed"]                 gets data-ran (seconds it was not at rest) and data-since (the ISO time since when it
//                                         is not, or empty): the page lets it tick
//   [data-outcome]                        on a status or a progress: all, some or none of what has ended has succeeded
//   [data-wave="<number>"]                a wave's row (data-status kept true, if there), and inside of it
//     [data-live="wave:status"]           the state's word (data-status likewise)
//     [data-live="wave:ended"]            atoms that have ended; also wave:atoms_total, wave:atoms_succeeded,
//                                         wave:atoms_unsuccessful, and progress[data-live="wave:progress"]
//   [data-atom="<key>"]                   an atom's cell: data-status is set; a title that ends ": <state>" is kept true
//     [data-live="atom:status"], [data-live="atom:attempts"], [data-live="atom:assurance"]      inside of a cell
//   [data-live="log"]                     list of events: li[data-seq] > time + span.what, oldest first. Its nearest
//                                         [data-log-scroll] ancestor, or itself, scrolls; a button [data-follow] inside of
//                                         the root shows (aria-pressed) and switches follow mode
// Anywhere in the document:
//   [data-live="badge"]                   data-state is live, catching-up, polling or offline, and the text says so
//
// After each repaint (at most 4 a second) the root gets an event "live:change" whose detail holds what came since the last:
// {execution (totals) or null, waves: [..], atoms: [[key, wave, status, attempts, assurance], ..], events: [..]}, as in
// docs/asyncapi.yaml; while the badge says polling, an atom's last two members may be missing. It bubbles. A page that draws something of its own (a canvas, buttons by state) listens to it.

import { LiveFeed } from "./client.js";
import { EventLog } from "./log.js";
import { paintAtoms, paintBadge, paintExecution, paintWave, Painter, readyWave } from "./paint.js";

class LivePage {
  #root;
  #log;
  #execution = null;
  #waves = new Map();
  #begun = new Set();
  #atoms = new Map();
  #events = [];
  #painter = new Painter(() => this.#paint());

  constructor(root) {
    this.#root = root;
    this.#log = new EventLog(root);
    const id = root.dataset.executionId;
    this.feed = new LiveFeed({
      path: `/ws/execution/${id}/`,
      rest: `/api/v2/executions/${id}/`,
      seq: Number(root.dataset.seq),
      onFrame: (frame) => this.#take(frame),
      onState: (state, detail) => paintBadge(document, state, detail),
    });
  }

  #take(frame) {
    const state = frame.state ?? frame.snapshot;
    if (!state) return;
    this.#execution = state.execution ?? this.#execution;
    for (const wave of state.waves) this.#waves.set(wave.number, wave);
    for (const event of frame.events ?? []) {
      this.#events.push(event);
      if (event.type === "wave.started") this.#begun.add(event.wave);
    }
    for (const atom of state.atoms) this.#atoms.set(atom[0], atom);
    this.#painter.due();
  }

  #paint() {
    const root = this.#root;
    // What follows from a wave's beginning, unless more is known of an atom already.
    for (const number of this.#begun) {
      for (const atom of readyWave(root, number)) {
        if (!this.#atoms.has(atom[0])) this.#atoms.set(atom[0], atom);
      }
    }
    const detail = {
      execution: this.#execution,
      waves: [...this.#waves.values()],
      atoms: [...this.#atoms.values()],
      events: this.#events,
    };
    if (this.#execution) paintExecution(root, this.#execution);
    for (const wave of this.#waves.values()) paintWave(root, wave);
    paintAtoms(root, this.#atoms);
    this.#log.append(this.#events);
    root.dataset.seq = this.feed.seq;
    this.#execution = null;
    this.#waves.clear();
    this.#begun.clear();
    this.#atoms.clear();
    this.#events = [];
    root.dispatchEvent(new CustomEvent("live:change", { detail, bubbles: true }));
  }
}

const root = document.querySelector("[data-execution-id][data-seq]");
if (root) new LivePage(root).feed.start();
