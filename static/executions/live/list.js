// Moves the list of executions. Load it with <script type="module">; it begins by itself. What it looks for, anew at each
// repaint, so that a table may be replaced at any time:
//
//   [data-execution-id="<uuid>"]    an execution's row; inside of it the data-live attributes of an execution as in
//                                   execution.js: status, counter:<name>, progress, precision, completion, cost, …
//   [data-live="badge"]             the connection badge, as there
//
// After each repaint (at most 4 a second) the document gets an event "live:executions" whose detail holds what came since
// the last: {executions: [totals, ..], absent: [totals, ..]}; absent are those that have no row in the page.

import { LiveFeed } from "./client.js";
import { paintBadge, paintExecution, Painter } from "./paint.js";

const changed = new Map();

const painter = new Painter(() => {
  const rows = new Map();
  for (const row of document.querySelectorAll("[data-execution-id]")) rows.set(row.dataset.executionId, row);
  const executions = [...changed.values()];
  changed.clear();
  for (const execution of executions) {
    const row = rows.get(execution.id);
    if (row) paintExecution(row, execution);
  }
  const absent = executions.filter((execution) => !rows.has(execution.id));
  document.dispatchEvent(new CustomEvent("live:executions", { detail: { executions, absent } }));
});

new LiveFeed({
  path: "/ws/executions/",
  onFrame: (frame) => {
    for (const execution of frame.executions ?? frame.snapshot?.executions ?? []) changed.set(execution.id, execution);
    painter.due();
  },
  onState: (state, detail) => paintBadge(document, state, detail),
}).start();
