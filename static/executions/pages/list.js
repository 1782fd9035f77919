/* Says that there are newer executions than the list shows; they are fetched when the reader wants them. */

const newer = new Set();

document.addEventListener("live:executions", ({ detail: { absent } }) => {
  const list = document.querySelector("#executions[data-newest]");
  if (!list) return;
  // Ids begin with the time, so the order of the text is the order in time.
  const first = list.querySelector("[data-execution-id]")?.dataset.executionId ?? "";
  for (const { id } of absent) if (id > first) newer.add(id);
  if (!newer.size) return;
  document.querySelector("[data-newer-text]").textContent = newer.size === 1 ? "1 new execution." : `${newer.size} new executions.`;
  document.querySelector("[data-newer]").hidden = false;
});
