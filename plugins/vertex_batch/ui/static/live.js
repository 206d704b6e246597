// Fills in, and keeps up to date, what runs at this moment. Without it the page has a link to the same.
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
      // Nobody loses the place where the keyboard is, or a list that was scrolled.
      if (place.contains(document.activeElement) && place.getAttribute("aria-busy") === "false") return;
      show(place, [...page.body.childNodes].map((node) => document.importNode(node, true)));
    } catch {
      const failed = place.parentElement.querySelector("template").content.cloneNode(true);
      failed.querySelector("[data-again]").addEventListener("click", () => {
        place.setAttribute("aria-busy", "true");
        place.tabIndex = -1;
        place.focus(); // the button is about to go
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
