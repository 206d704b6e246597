// The pages work without this. Inside Airflow's frame it does what the frame's sandbox keeps from a page:
// it takes over Airflow's light or dark mode, and opens links that lead out of the pages in a tab.
(() => {
  "use strict";
  const outer = (() => {
    try {
      return window.parent === window ? null : window.parent.document;
    } catch {
      return null; // framed by another origin
    }
  })();
  if (outer === null) return;

  const adopt = () => {
    const theme = outer.documentElement.classList.contains("dark") ? "dark" : "light";
    document.documentElement.dataset.theme = theme;
  };
  adopt();
  new MutationObserver(adopt).observe(outer.documentElement, { attributeFilter: ["class"] });

  document.addEventListener("click", (event) => {
    const link = event.target instanceof Element ? event.target.closest("a.out") : null;
    if (link === null) return;
    event.preventDefault();
    const copy = outer.createElement("a");
    copy.href = link.href;
    copy.target = "_blank";
    copy.rel = "noopener noreferrer";
    copy.click();
  });
})();
