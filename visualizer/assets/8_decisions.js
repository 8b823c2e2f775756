/* The cards of the devices are drawn anew with every status: what a reader has opened stays open. */
"use strict";
(() => {
  const SELECTOR = "details.decision[data-device]";
  const opened = new Set();

  document.addEventListener("toggle", (event) => {
    const box = event.target;
    if (!box.matches?.(SELECTOR)) return;
    if (box.open) opened.add(box.dataset.device);
    else opened.delete(box.dataset.device);
  }, true);

  new MutationObserver(() => {
    if (!opened.size) return;
    for (const box of document.querySelectorAll(`${SELECTOR}:not([open])`)) {
      if (opened.has(box.dataset.device)) box.open = true;
    }
  }).observe(document.documentElement, { childList: true, subtree: true });
})();
