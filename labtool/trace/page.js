"use strict";
(() => {
  const panel = document.getElementById("panel");
  const body = document.getElementById("panel-body");
  if (!panel || !body) return;
  document.documentElement.classList.add("js");
  const arrows = Array.from(document.querySelectorAll('.ladder a[href^="#m"]'));
  let current = -1;
  let opener = null;

  const keyOf = (link) => link.getAttribute("href").slice(1);

  const show = (key, from) => {
    const message = document.getElementById(key);
    if (!message || !message.classList.contains("message")) return false;
    const copy = message.cloneNode(true);
    copy.removeAttribute("id");
    const title = copy.querySelector("h3");
    title.id = "panel-title";
    title.tabIndex = -1;
    body.replaceChildren(...copy.childNodes);
    panel.hidden = false;
    panel.scrollTop = 0;
    arrows.forEach((link) => link.removeAttribute("aria-current"));
    current = arrows.findIndex((link) => keyOf(link) === key);
    if (current >= 0) arrows[current].setAttribute("aria-current", "true");
    if (from) opener = from;
    title.focus({ preventScroll: true });
    return true;
  };

  const close = () => {
    if (panel.hidden) return;
    panel.hidden = true;
    const link = arrows[current] || opener;
    arrows.forEach((one) => one.removeAttribute("aria-current"));
    if (link) link.focus();
  };

  const step = (by) => {
    const link = arrows[current + by];
    if (!link) return;
    show(keyOf(link), link);
    link.scrollIntoView({ block: "nearest" });
  };

  document.addEventListener("click", (event) => {
    const link = event.target.closest('a[href^="#m"]');
    if (link && show(keyOf(link), link)) {
      event.preventDefault();
      return;
    }
    const button = event.target.closest("button[data-do]");
    if (button) ({ close, next: () => step(1), previous: () => step(-1) })[button.dataset.do]();
  });
  document.addEventListener("keydown", (event) => {
    if (panel.hidden || event.altKey || event.ctrlKey || event.metaKey) return;
    const does = { Escape: close, ArrowDown: () => step(1), ArrowUp: () => step(-1) }[event.key];
    if (does) {
      event.preventDefault();
      does();
    }
  });
  const chosen = () => show(location.hash.slice(1), null);
  window.addEventListener("hashchange", chosen);
  chosen();
})();
