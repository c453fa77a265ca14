// Decides with one key while the keyboard is in the card that is decided about (WCAG 2.2, 2.1.4: not anywhere else).
"use strict";

for (const card of document.querySelectorAll("[data-decide]")) {
  card.addEventListener("keydown", (event) => {
    // a key that is held down decides once, not about whatever comes next
    if (event.repeat || event.ctrlKey || event.altKey || event.metaKey || event.shiftKey) return;
    const chosen = card.querySelector(`[data-key="${CSS.escape(event.key.toLowerCase())}"]`);
    if (!chosen) return;
    event.preventDefault();
    chosen.click();
  });
  card.focus({ preventScroll: true });
}
