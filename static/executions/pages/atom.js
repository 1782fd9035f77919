/* The atom page while its atom is being worked on: when the feed tells of it, the attempts are fetched again and only those
   that changed are put in, so that what is being read stays where it is. */
import { localise } from "./times.js";

const GATHER_MS = 400; // an attempt's end, the next one's start and its call come together

const root = document.querySelector("[data-shows]");
const attempts = document.getElementById("attempts");
let due = 0;
let running = false;

async function refresh() {
  due = 0;
  if (running) {
    later();
    return;
  }
  running = true;
  try {
    const answer = await fetch(location.pathname, { headers: { "HX-Request": "true", Accept: "text/html" } });
    if (answer.ok) merge(new DOMParser().parseFromString(await answer.text(), "text/html").body);
  } catch {
    // The badge says that the connection is gone; the next event brings it up to date.
  } finally {
    running = false;
  }
}

function merge(fresh) {
  const wanted = [...fresh.children];
  const known = new Map([...attempts.children].map((element) => [element.id, element]));
  const kept = wanted.map((element) => {
    const old = known.get(element.id);
    return old && old.dataset.version === element.dataset.version ? old : document.adoptNode(element);
  });
  attempts.replaceChildren(...kept);
  localise(attempts);
  window.htmx?.process(attempts);
}

function later() {
  if (!due) due = setTimeout(refresh, GATHER_MS);
}

// What may be done with the atom follows the execution's state as well.
let shown = "";
root.addEventListener("live:change", ({ detail: { atoms, execution } }) => {
  const moved = execution && execution.status !== shown;
  if (moved) shown = execution.status;
  if (moved || atoms.some(([key]) => key === root.dataset.shows)) later();
});
