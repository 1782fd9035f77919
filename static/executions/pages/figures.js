/* Figures that follow from the live totals: the tested share, all tokens; and a spoken summary, at most every 5 s. */
import { percent, thousands, word } from "../live/words.js";

const SPEAK_EVERY_MS = 5000;

export function deriveFigures(root) {
  const announcer = root.querySelector("[data-announce]");
  let spoken = 0;
  let due = 0;
  let newest = null;

  const set = (name, text) => {
    root.querySelector(`[data-derived="${name}"]`).textContent = text;
  };
  const speak = () => {
    due = 0;
    spoken = Date.now();
    const { status, atoms_ended, atoms_total, atoms_succeeded } = newest;
    announcer.textContent = `${word(status)}: ${atoms_ended} of ${atoms_total} atoms ended, ${atoms_succeeded} succeeded.`;
  };

  root.addEventListener("live:change", ({ detail: { execution, events } }) => {
    if (!execution) return;
    newest = execution;
    const tested = execution.atoms_succeeded - execution.atoms_static;
    set("tested", percent(execution.atoms_total ? (100 * tested) / execution.atoms_total : 100));
    set("tokens", thousands(execution.input_tokens + execution.output_tokens));
    if (events.length && !due) due = setTimeout(speak, Math.max(0, spoken + SPEAK_EVERY_MS - Date.now()));
  });
}
