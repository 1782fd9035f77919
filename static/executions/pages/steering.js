/* Buttons follow the state: which fit is a table from the server, one row a state. */

export function steer(root) {
  const table = JSON.parse(document.getElementById("steering").textContent);
  const note = root.querySelector("[data-steer-note]");
  const waiting = document.getElementById("why-waiting");
  let shown = root.querySelector("[data-live='status']").dataset.status;

  root.addEventListener("live:change", ({ detail: { execution } }) => {
    if (!execution) return;
    // The reason was true when the page was made.
    if (execution.status !== shown || execution.calls_total > 0) waiting.hidden = true;
    if (execution.status === shown) return;
    shown = execution.status;
    const row = table[shown];
    for (const control of root.querySelectorAll("[data-steer]")) {
      const hide = !row[control.dataset.steer];
      const hadFocus = hide && control.contains(document.activeElement);
      control.hidden = hide;
      // What had the focus is gone: the next control takes it, not the top of the page.
      if (hadFocus) root.querySelector("[data-steer]:not([hidden]) :is(a, button)")?.focus();
    }
    if (note) note.textContent = row.note;
    if (!row.cancel) document.getElementById("cancel-dialog")?.close();
  });
}
