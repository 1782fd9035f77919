// Writes totals and states into a page, by the attributes that execution.js documents. Text only, never markup.

import { outcome, percent, thousands, usd, word } from "./words.js";

const REPAINT_MS = 250; // at most four times a second, however much comes in

/** Calls `paint` soon after `due()` was called, at most four times a second. */
export class Painter {
  #paint;
  #timer = null;
  #last = -Infinity;

  constructor(paint) {
    this.#paint = paint;
  }

  due() {
    if (this.#timer !== null) return;
    this.#timer = setTimeout(
      () => {
        this.#timer = null;
        this.#paint();
        this.#last = performance.now(); // after it: a slow machine keeps its pause
      },
      Math.max(0, this.#last + REPAINT_MS - performance.now()),
    );
  }
}

function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function writeStatus(element, status) {
  // Where the page wrote an attribute for the style sheet, it is kept true.
  if (element.hasAttribute("data-status")) element.dataset.status = status;
  write(element, word(status));
}

function writeOutcome(element, counted) {
  if (element.hasAttribute("data-outcome")) element.dataset.outcome = outcome(counted);
}

/** Write an execution's totals into `root`: an execution's page, or its row in the list. */
export function paintExecution(root, execution) {
  for (const element of root.querySelectorAll("[data-live]")) {
    const [name, counter] = element.dataset.live.split(":");
    if (name === "counter") write(element, thousands(execution[counter]));
    else if (name === "status") {
      writeStatus(element, execution.status);
      writeOutcome(element, execution);
    } else if (name === "progress") {
      paintProgress(element, execution.atoms_ended, execution.atoms_total);
      writeOutcome(element, execution);
    }
    else if (name === "precision") paintPercent(element, execution.precision_percent);
    else if (name === "completion") paintPercent(element, execution.completion_percent);
    else if (name === "cost") write(element, usd(execution.cost_usd));
    else if (name === "current_wave") write(element, thousands(execution.current_wave));
    else if (name === "status_reason") write(element, execution.status_reason);
    else if (name === "elapsed") {
      element.dataset.ran = execution.ran_seconds;
      element.dataset.since = execution.running_since ?? "";
    }
  }
}

// The unit stands outside of the element, or the page wrote it inside; there it stays.
function paintPercent(element, number) {
  write(element, percent(number) + (element.textContent.trimEnd().endsWith("%") ? " %" : ""));
}

function paintProgress(element, ended, total) {
  element.max = total || 1;
  element.value = total ? ended : 1;
  write(element, `${thousands(ended)} of ${thousands(total)}`);
}

/** Write a wave's row; members that are not known are left as they are. */
export function paintWave(root, wave) {
  for (const row of root.querySelectorAll(`[data-wave="${Number(wave.number)}"]`)) {
    if (row.hasAttribute("data-status")) row.dataset.status = wave.status;
    for (const element of row.querySelectorAll('[data-live^="wave:"]')) {
      const name = element.dataset.live.slice(5);
      if (name === "status") {
        writeStatus(element, wave.status);
        if (wave.atoms_total !== undefined) writeOutcome(element, wave);
      } else if (wave.atoms_succeeded === undefined) continue;
      else if (name === "ended") write(element, thousands(wave.atoms_succeeded + wave.atoms_unsuccessful));
      else if (name === "progress") paintProgress(element, wave.atoms_succeeded + wave.atoms_unsuccessful, wave.atoms_total);
      else write(element, thousands(wave[name]));
    }
  }
}

/** Write the states of many atoms in one pass over the page; `atoms` maps a key to `[key, wave, status, attempts, assurance]`. */
export function paintAtoms(root, atoms) {
  if (!atoms.size) return;
  for (const cell of root.querySelectorAll("[data-atom]")) {
    const atom = atoms.get(cell.dataset.atom);
    if (atom) paintAtom(cell, atom);
  }
}

/** The atoms of a wave that has begun wait no longer for it; returns those that the page showed as waiting. */
export function readyWave(root, number) {
  const cells = root.querySelectorAll(`[data-wave="${Number(number)}"] [data-atom][data-status="pending"]`);
  return [...cells].map((cell) => [cell.dataset.atom, number, "ready", 0, ""]);
}

function paintAtom(cell, [, , status, attempts, assurance]) {
  const before = cell.dataset.status;
  cell.dataset.status = status;
  for (const named of [cell, ...cell.querySelectorAll("[title]")]) {
    if (before && named.title.endsWith(`: ${before}`)) named.title = named.title.slice(0, -before.length) + status;
  }
  for (const element of cell.querySelectorAll('[data-live^="atom:"]')) {
    const name = element.dataset.live.slice(5);
    if (name === "status") writeStatus(element, status);
    else if (name === "attempts" && attempts !== undefined) write(element, thousands(attempts));
    else if (name === "assurance" && assurance !== undefined) write(element, assurance);
  }
}

/** The connection badge. */
export function paintBadge(scope, state, detail) {
  for (const badge of scope.querySelectorAll('[data-live="badge"]')) {
    badge.dataset.state = state;
    badge.title = detail;
    write(badge, state.replace("-", " "));
  }
}
