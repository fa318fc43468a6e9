// Scripts of all views. All views work without them.
"use strict";

const root = document.documentElement;

// The theme: the system's, until the user chooses one.

function isDark() {
  const chosen = root.dataset.theme;
  return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

function setUpThemeToggle(toggle) {
  const show = () => toggle.setAttribute("aria-pressed", String(isDark()));
  toggle.hidden = false;
  show();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", show);
  toggle.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    localStorage.setItem("theme", root.dataset.theme);
    show();
  });
}

// The live part: refreshed every few seconds, not while the tab is hidden, and at once when it is
// shown again.

function setUpLive(live) {
  const announcer = document.getElementById("announcer");
  const verdict = () => live.querySelector("[data-verdict]").textContent.trim();
  let announced = verdict();
  let open = [];

  live.addEventListener("htmx:beforeRequest", (event) => {
    if (document.hidden) event.preventDefault();
  });
  live.addEventListener("htmx:beforeSwap", () => {
    open = [...live.querySelectorAll("details[open]")].map((details) => details.id);
  });
  live.addEventListener("htmx:afterSwap", () => {
    for (const id of open) document.getElementById(id).open = true;
    live.classList.remove("is-lost");
    if (verdict() !== announced) announcer.textContent = announced = verdict();
  });
  for (const failure of ["htmx:sendError", "htmx:responseError", "htmx:timeout"]) {
    live.addEventListener(failure, () => {
      live.classList.add("is-lost");
      const lost = live.querySelector("[data-lost]");
      if (announcer.textContent !== lost.textContent) announcer.textContent = lost.textContent;
      announced = "";
    });
  }
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) htmx.trigger(live, "look");
  });
}

// Prevents sending a form twice.

document.addEventListener("submit", (event) => {
  if (event.defaultPrevented) return;
  const form = event.target;
  if (form.dataset.sent) event.preventDefault();
  else if (form.method === "post") form.dataset.sent = "true";
});
addEventListener("pageshow", () => {
  for (const form of document.forms) delete form.dataset.sent;
});

for (const toggle of document.querySelectorAll("[data-theme-toggle]")) setUpThemeToggle(toggle);
for (const live of document.querySelectorAll("[data-live]")) setUpLive(live);
