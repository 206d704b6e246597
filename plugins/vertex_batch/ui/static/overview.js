// The overview works without this: the form has a button, and each day of the chart is a link with a title.
// With it, the form applies a change at once, and the chart has one tooltip per day and one stop for the Tab key.
(() => {
  "use strict";

  const applyChanges = (form) => {
    const typed = new WeakSet();
    form.querySelector("button").hidden = true;
    form.addEventListener("keydown", (event) => typed.add(event.target));
    form.addEventListener("change", (event) => {
      // A date that is typed changes with each key: wait until its field is left, or Enter is pressed.
      if (event.target.type === "date" && typed.has(event.target)) return;
      form.requestSubmit();
    });
    form.addEventListener("focusout", (event) => {
      const field = event.target;
      if (field.type === "date" && typed.has(field) && field.value && field.value !== field.defaultValue)
        form.requestSubmit();
    });
  };

  const element = (name, className, text = "") => {
    const made = document.createElement(name);
    made.className = className;
    made.textContent = text;
    return made;
  };

  // The rows of a day's tooltip are those of the table of days.
  const fill = (tip, day) => {
    tip.replaceChildren(element("strong", "", day.dataset.label));
    const row = document.querySelector(`#days tr[data-day="${day.dataset.day}"]`);
    if (row === null) return;
    const heads = document.querySelectorAll("#days thead th");
    [...row.cells].slice(1).forEach((cell, n) => {
      const head = heads[n + 1];
      const amount = cell.textContent.trim();
      if (amount === "\u2013") return;
      const line = element("span", "line");
      line.append(element("i", "color" in head.dataset ? `s${head.dataset.color}` : ""));
      line.append(element("span", "name", head.textContent), element("span", "number", amount));
      tip.append(line);
    });
  };

  const place = (tip, plot, day) => {
    const [frame, slot] = [plot.getBoundingClientRect(), day.getBoundingClientRect()];
    const middle = slot.left + slot.width / 2 - frame.left;
    const left = middle < frame.width / 2 ? middle + slot.width / 2 + 8 : middle - slot.width / 2 - 8 - tip.offsetWidth;
    tip.style.left = `${Math.max(0, Math.min(left, frame.width - tip.offsetWidth))}px`;
  };

  const addTooltips = (plot) => {
    const days = [...plot.querySelectorAll("a[data-day]")];
    const tip = element("div", "tip");
    tip.hidden = true;
    tip.setAttribute("aria-hidden", "true"); // each day's label, and the table of days, say the same
    plot.append(tip);
    let shown = null;
    const show = (day) => {
      shown = day;
      tip.hidden = day === null;
      if (day === null) return;
      fill(tip, day);
      place(tip, plot, day);
    };
    const stop = (day) => days.forEach((each) => each.setAttribute("tabindex", each === day ? "0" : "-1"));
    days.forEach((day, n) => {
      const title = day.querySelector("title");
      day.dataset.label = title.textContent;
      title.remove(); // else the browser shows a second tooltip
      day.addEventListener("pointerenter", (event) => event.pointerType === "mouse" && show(day));
      day.addEventListener("pointerleave", (event) => event.pointerType === "mouse" && show(null));
      day.addEventListener("focus", () => {
        stop(day);
        show(day);
      });
      day.addEventListener("blur", () => show(null));
      // The first touch shows the day, the second one opens it.
      day.addEventListener("pointerdown", (event) => {
        if (event.pointerType !== "mouse") day.dataset.opens = String(shown === day);
      });
      day.addEventListener("click", (event) => {
        if (day.dataset.opens === "false") event.preventDefault();
        delete day.dataset.opens;
      });
      day.addEventListener("keydown", (event) => {
        const to = { ArrowLeft: n - 1, ArrowRight: n + 1, Home: 0, End: days.length - 1 }[event.key];
        if (event.key === "Escape") show(null);
        if (to === undefined || days[to] === undefined) return;
        event.preventDefault();
        days[to].focus();
      });
    });
    stop(days.at(-1));
  };

  document.querySelectorAll("form[data-applies]").forEach(applyChanges);
  document.querySelectorAll("[data-chart]").forEach(addTooltips);
})();
