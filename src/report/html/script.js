"use strict";
(() => {
  const form = document.getElementById("filter");
  const shown = document.getElementById("shown");
  const checks = [...document.querySelectorAll("details.check")];
  const groups = [...document.querySelectorAll("section.group")];
  const boxes = [...form.querySelectorAll("input[name=status]")];
  const texts = new Map();
  // Read when somebody first searches: a long report has megabytes of it.
  const textOf = (check) => {
    if (!texts.has(check)) {
      // What was sent and came is base64 for the most part, in which any word turns up.
      const said = check.querySelectorAll("summary, p, dt, dd");
      texts.set(check, [...said].map((part) => part.textContent).join(" ").toLowerCase());
    }
    return texts.get(check);
  };
  const apply = () => {
    const kinds = new Set(boxes.filter((box) => box.checked).map((box) => box.value));
    const level = form.elements.level.value;
    const section = form.elements.section.value;
    const words = form.elements.text.value.toLowerCase().split(/\s+/).filter(Boolean);
    let number = 0;
    for (const check of checks) {
      const data = check.dataset;
      const wanted =
        kinds.has(data.kind) &&
        (!level || data.level === level) &&
        (!section || data.section === section) &&
        words.every((word) => textOf(check).includes(word));
      check.hidden = !wanted;
      if (wanted) number += 1;
    }
    for (const group of groups) group.hidden = !group.querySelector("details.check:not([hidden])");
    shown.textContent = number + " of " + checks.length + " checks";
  };
  const wrong = boxes.some((box) => box.value !== "pass" && box.value !== "skip");
  const narrow = () => {
    for (const box of boxes) box.checked = !wrong || (box.value !== "pass" && box.value !== "skip");
  };
  const follow = () => {
    let id = "";
    try {
      id = decodeURIComponent(location.hash.slice(1));
    } catch {
      return;
    }
    const target = id && document.getElementById(id);
    if (!target || !target.matches("details.check")) return;
    if (target.hidden) {
      form.reset();
      for (const box of boxes) box.checked = true;
      apply();
    }
    target.open = true;
    target.querySelector("summary").focus({ preventScroll: true });
    target.scrollIntoView();
  };
  form.hidden = false;
  form.addEventListener("input", apply);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(apply));
  addEventListener("hashchange", follow);
  // A second click on the same link changes nothing in the address.
  document.addEventListener("click", (event) => {
    const link = event.target.closest && event.target.closest('a[href^="#"]');
    if (link && link.hash === location.hash) follow();
  });
  const opened = [];
  addEventListener("beforeprint", () => {
    for (const check of document.querySelectorAll("details:not([open])")) {
      // What is right, and what isn't the finding itself, would fill hundreds of pages.
      if (check.closest(".pass, .skipped") || !check.matches(".check")) continue;
      check.open = true;
      opened.push(check);
    }
  });
  addEventListener("afterprint", () => {
    for (const check of opened.splice(0)) check.open = false;
  });
  for (const button of document.querySelectorAll("button.copy")) {
    button.hidden = false;
    button.addEventListener("click", async () => {
      const pre = button.parentElement.querySelector("pre");
      const said = (text) => {
        button.textContent = text;
        setTimeout(() => (button.textContent = "copy"), 1500);
      };
      try {
        await navigator.clipboard.writeText(pre.textContent);
        said("copied");
      } catch {
        getSelection().selectAllChildren(pre);
        said("selected: copy it with the keyboard");
      }
    });
  }
  narrow();
  apply();
  follow();
})();
