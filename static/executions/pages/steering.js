/* Buttons follow the state: which fit is a table from the server, one row a state. */

export function steer(root) {
  const table = JSON.parse(document.getElementById("steering").textContent);
  const note = root.querySelector("[data-steer-note]");
  const waiting = document.getElementById("why-waiting");
  const run = root.querySelector("[data-run]");
  let shown = root.querySelector("[data-live='status']").dataset.status;

  const needed = { failed: (execution) => execution.atoms_failed + execution.atoms_dead_lettered > 0 };

  root.addEventListener("live:change", ({ detail: { execution, events } }) => {
    // What waits for a person is on the page with its buttons: that piece is fetched anew, when it has changed.
    const asking = root.querySelector("#approvals form") !== null;
    if (events.some(({ type }) => type === "approval.requested" || (asking && ENDS_ASKING.has(type)))) {
      window.htmx?.trigger("#approvals", "approvals-changed");
    }
    if (events.some(({ type }) => type.startsWith("gate."))) window.htmx?.trigger("#gates", "gates-changed");
    if (!execution) return;
    // The reason was true when the page was made.
    if (execution.status !== shown || execution.calls_total > 0) waiting.hidden = true;
    run.hidden = execution.run_number === 1;
    const row = table[execution.status];
    for (const control of root.querySelectorAll("[data-steer]")) {
      const needs = control.dataset.needs;
      const hide = !row[control.dataset.steer] || (needs !== undefined && !needed[needs](execution));
      if (hide === control.hidden) continue;
      const hadFocus = hide && control.contains(document.activeElement);
      control.hidden = hide;
      // What had the focus is gone: the next control takes it, not the top of the page.
      if (hadFocus) root.querySelector("[data-steer]:not([hidden]) :is(a, button)")?.focus();
    }
    if (execution.status === shown) return;
    shown = execution.status;
    if (note) note.textContent = row.note;
    if (!row.cancel) document.getElementById("cancel-dialog")?.close();
  });
}

const ENDS_ASKING = new Set(["control.approve", "control.rollback", "control.cancel", "execution.ended"]);
