// Keyboard shortcuts, and the palette. Everything works without them.
"use strict";

// The rows of a list: the current one is the one with the focus.

function currentRow() {
  return document.activeElement.closest("main tbody tr");
}

function placeIn(row) {
  return row.querySelector("th a") ?? row.querySelector("a, input, button, summary");
}

function move(step) {
  const rows = [...document.querySelectorAll("main tbody tr")].filter(placeIn);
  const at = rows.indexOf(currentRow());
  const next = at < 0 ? rows.at(step > 0 ? 0 : -1) : rows[at + step];
  if (next) placeIn(next).focus();
}

function select() {
  currentRow()?.querySelector("input[type=checkbox]")?.click();
}

function edit() {
  const link = currentRow()?.querySelector("[data-drawer]");
  if (!link?.closest("[data-may-edit]")) return;
  const url = new URL(link.href);
  url.pathname += "/edit";
  link.dispatchEvent(new CustomEvent("drawer:open", { bubbles: true, detail: url.href }));
}

function setUpPalette(palette) {
  const field = palette.querySelector("input");
  const list = document.getElementById("palette-list");
  // What was typed has not been searched for yet; Enter waits for it.
  let isStale = true;
  let isChosen = false;

  const entries = () => [...list.querySelectorAll("[href]")];
  const marked = () => list.querySelector("[aria-selected=true]");

  function mark(entry) {
    marked()?.setAttribute("aria-selected", "false");
    entry?.setAttribute("aria-selected", "true");
    entry?.scrollIntoView({ block: "nearest" });
    field.setAttribute("aria-activedescendant", entry?.id ?? "");
  }

  function fail(message) {
    list.innerHTML = '<div role="option" aria-selected="false" aria-disabled="true"></div>';
    list.firstChild.textContent = message;
    isStale = isChosen = false;
  }

  field.addEventListener("input", () => {
    isStale = true;
  });
  field.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) {
      event.preventDefault();
      const all = entries();
      mark(all.at((all.indexOf(marked()) + step) % all.length));
    } else if (event.key === "Enter") {
      event.preventDefault();
      if (isStale) isChosen = true;
      else marked()?.click();
    }
  });
  list.addEventListener("htmx:afterSwap", (event) => {
    mark(entries()[0]);
    // The answer may be to an earlier text; the one to this text follows.
    isStale = new URL(event.detail.xhr.responseURL).searchParams.get("search") !== field.value;
    if (isStale) return;
    if (isChosen) marked()?.click();
    isChosen = false;
  });
  palette.addEventListener("htmx:responseError", () => fail(gettext("The search failed")));
  for (const failure of ["htmx:sendError", "htmx:timeout"]) {
    palette.addEventListener(failure, () => fail(gettext("The service does not answer")));
  }
  palette.addEventListener("click", (event) => {
    if (event.target === palette || event.target.closest("[href]")) palette.close();
  });

  return () => {
    if (palette.open) return;
    field.value = "";
    list.replaceChildren();
    isStale = true;
    palette.showModal();
    htmx.trigger(field, "look");
  };
}

function setUpHelp(help) {
  const shortcuts = help.querySelector("[data-shortcuts]");
  shortcuts.checked = localStorage.getItem("shortcuts") !== "off";
  shortcuts.addEventListener("change", () => {
    localStorage.setItem("shortcuts", shortcuts.checked ? "on" : "off");
  });
  document.querySelector("[data-help]").addEventListener("click", () => help.showModal());
  return { show: () => help.showModal(), isOn: () => shortcuts.checked };
}

function setUpShortcuts() {
  const open = setUpPalette(document.getElementById("palette"));
  const help = setUpHelp(document.getElementById("help"));
  const keys = {
    "/": () => (document.querySelector("main input[type=search]") ?? { focus: open }).focus(),
    "?": help.show,
    e: edit,
    j: () => move(1),
    k: () => move(-1),
    x: select,
  };

  function isForUs({ target }) {
    const isTyped = target.closest("input:not([type=checkbox], [type=radio]), select, textarea");
    return help.isOn() && !isTyped && !document.querySelector("dialog[open]");
  }

  document.addEventListener("keydown", (event) => {
    const isModified = event.ctrlKey || event.metaKey || event.altKey;
    const isPalette = (event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k";
    const action = isPalette ? open : !isModified && Object.hasOwn(keys, event.key) && keys[event.key];
    if (!action || !(isPalette || isForUs(event))) return;
    event.preventDefault();
    action();
  });
}

if (document.getElementById("palette")) setUpShortcuts();

// Enter on a box would send the form that it is in.

document.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && event.target.matches("[type=checkbox], [type=radio]")) event.preventDefault();
});
