/* The grid of atoms: arrow keys from square to square, and a line that reads out the one under the pointer or the focus. */
import { visible, word } from "../live/words.js";

export function readCells(root) {
  const grid = root.querySelector("[data-grid]");
  const readout = root.querySelector("[data-readout]");
  if (!grid) return;

  const cells = [...grid.querySelectorAll(".cell")];
  let read = null;

  // One stop for the tab key, however many atoms there are.
  for (const cell of cells) cell.tabIndex = -1;
  if (cells.length) cells[0].tabIndex = 0;

  const show = (cell) => {
    read = cell;
    const name = document.createElement("strong");
    name.textContent = visible(cell.dataset.atom);
    const wave = cell.closest("[data-wave]").dataset.wave;
    readout.replaceChildren(name, ` ${word(cell.dataset.status)}, wave ${wave}`);
  };

  const move = (to) => {
    if (!to) return;
    for (const cell of grid.querySelectorAll(".cell[tabindex='0']")) cell.tabIndex = -1;
    to.tabIndex = 0;
    to.focus();
  };

  /** The square nearest above or below, by where it is drawn. */
  const vertical = (from, down) => {
    const { left, top } = from.getBoundingClientRect();
    let best = null;
    let score = Infinity;
    for (const cell of cells) {
      const box = cell.getBoundingClientRect();
      const distance = down ? box.top - top : top - box.top;
      if (distance < 4) continue;
      const cost = distance * 1000 + Math.abs(box.left - left);
      if (cost < score) [best, score] = [cell, cost];
    }
    return best;
  };

  grid.addEventListener("keydown", (event) => {
    const cell = event.target.closest?.(".cell");
    if (!cell || event.altKey || event.ctrlKey || event.metaKey) return;
    const place = cells.indexOf(cell);
    const targets = {
      ArrowRight: () => cells[place + 1],
      ArrowLeft: () => cells[place - 1],
      ArrowDown: () => vertical(cell, true),
      ArrowUp: () => vertical(cell, false),
      Home: () => cells[0],
      End: () => cells[cells.length - 1],
    };
    if (!(event.key in targets)) return;
    event.preventDefault();
    move(targets[event.key]());
  });
  grid.addEventListener("focusin", (event) => event.target.matches(".cell") && show(event.target));
  grid.addEventListener("pointerover", (event) => event.target.matches(".cell") && show(event.target));

  root.addEventListener("live:change", ({ detail: { atoms } }) => {
    if (read && atoms.some(([key]) => key === read.dataset.atom)) show(read);
  });
}
