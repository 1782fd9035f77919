/* Runs before the first paint: applies the chosen theme, and wires the three-way switch once it is there.
   A classic script on purpose: a module would run after the page has been shown in the other theme. */
(() => {
  "use strict";
  const KEY = "theme"; // the same as the admin's: one choice for both
  const root = document.documentElement;

  const stored = () => {
    try {
      return localStorage.getItem(KEY);
    } catch {
      return null; // storage may be forbidden; the system's theme stays
    }
  };

  const apply = (theme) => {
    if (theme === "light" || theme === "dark") root.dataset.theme = theme;
    else delete root.dataset.theme;
  };

  apply(stored());

  document.addEventListener("DOMContentLoaded", () => {
    const current = stored() ?? "auto";
    for (const input of document.querySelectorAll("input[name='theme']")) {
      input.checked = input.value === current;
      input.addEventListener("change", () => {
        try {
          if (input.value === "auto") localStorage.removeItem(KEY);
          else localStorage.setItem(KEY, input.value);
        } catch {
          // the choice holds for this page only
        }
        apply(input.value);
      });
    }
    document.querySelector(".theme-switch")?.removeAttribute("hidden");
  });

  addEventListener("storage", (event) => {
    if (event.key === KEY) apply(event.newValue);
  });
})();
