// Loads the running jobs and keeps them up to date. Without JavaScript, the page has a link to them.
(() => {
  "use strict";
  const EVERY_MS = 15000;

  const show = (place, nodes) => {
    place.replaceChildren(...nodes);
    place.setAttribute("aria-busy", "false");
  };

  const load = async (place) => {
    try {
      const answer = await fetch(place.dataset.live, { credentials: "same-origin" });
      if (!answer.ok) throw new Error(String(answer.status));
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      // Do not replace the list while it has the keyboard focus.
      if (place.contains(document.activeElement) && place.getAttribute("aria-busy") === "false") return;
      show(place, [...page.body.childNodes].map((node) => document.importNode(node, true)));
    } catch {
      const failed = place.parentElement.querySelector("template").content.cloneNode(true);
      failed.querySelector("[data-again]").addEventListener("click", () => {
        place.setAttribute("aria-busy", "true");
        place.tabIndex = -1;
        place.focus(); // the button is about to be removed
        load(place);
      });
      show(place, [failed]);
    }
  };

  for (const place of document.querySelectorAll("[data-live]")) {
    load(place);
    setInterval(() => document.visibilityState === "visible" && load(place), EVERY_MS);
  }
})();
