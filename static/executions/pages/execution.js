/* The execution page around the live feed: `live/execution.js` moves what it finds by attribute and says so with the event
   "live:change"; what follows from that is done here. Nothing here asks the server. */
import { readCells } from "./cells.js";
import { deriveFigures } from "./figures.js";
import { steer } from "./steering.js";

const root = document.querySelector("[data-execution-id][data-seq]");
steer(root);
deriveFigures(root);
readCells(root);

// The feed tells of states and attempts, not of what each atom has cost: what the table says of that is out of date as soon
// as an atom has moved, and is fetched when the reader asks for it.
root.addEventListener("live:change", ({ detail: { atoms } }) => {
  for (const [key] of atoms) {
    const row = root.querySelector(`#atoms tr[data-atom="${CSS.escape(key)}"]`);
    if (!row) continue;
    for (const cell of row.querySelectorAll("[data-settles]")) cell.textContent = "\u2026";
    root.querySelector("#atoms [data-stale]").hidden = false;
  }
});
