/* Buttons that copy: <button data-copy="text">. */

document.addEventListener("click", async (event) => {
  const button = event.target.closest?.("button[data-copy]");
  if (!button) return;
  const label = button.querySelector("span");
  const before = label.textContent;
  try {
    await navigator.clipboard.writeText(button.dataset.copy);
    label.textContent = "copied";
  } catch {
    // No clipboard without a secure origin: show all of it, to be selected by hand.
    label.textContent = button.dataset.copy;
    getSelection().selectAllChildren(label);
    return;
  }
  setTimeout(() => {
    label.textContent = before;
  }, 1200);
});
