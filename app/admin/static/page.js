// Scripts of all views. All views work without them.
"use strict";

const root = document.documentElement;

// The words of scripts: English, unless the page has them in its language.

const translations = JSON.parse(root.dataset.words ?? "{}");

/** A text in the language of the page, with `values` in the places of its parts. */
function gettext(text, values = {}) {
  return (translations[text] ?? text).replace(/%\((\w+)\)s/g, (_, name) => values[name]);
}

// The theme: the system's, until the user chooses one.

function isDark() {
  const chosen = root.dataset.theme;
  return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

function setUpThemeToggle(toggle) {
  const show = () => toggle.setAttribute("aria-pressed", String(isDark()));
  show();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", show);
  toggle.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    localStorage.setItem("theme", root.dataset.theme);
    show();
  });
}

// An outage, reported within two seconds. Only what means one counts: a proxy may hide the probe, and
// an instance that stops serves on until another one takes its place.

const PAUSE = 1000;
const PATIENCE = 3000;
const REPEAT = 250;

async function outage() {
  const signal = AbortSignal.timeout(PATIENCE);
  const ask = () => fetch("/health/ready", { cache: "no-store", signal });
  // A connection that breaks once, such as on the way to another network, is no outage. After a
  // request that was not answered in time, nothing is sent again: the signal is the same.
  const askAgain = () => new Promise((resolve) => setTimeout(resolve, REPEAT)).then(ask);
  try {
    const answer = await ask().catch(askAgain);
    if (answer.status < 502) return "";
    const { status } = await answer.json();
    if (status === "stopping") return "";
    return status === "unhealthy" ? "down" : "silent";
  } catch {
    return "silent";
  }
}

function watchForOutages(banner) {
  async function look() {
    if (!document.hidden) {
      const found = await outage();
      const words = found && banner.dataset[found];
      if (banner.textContent !== words) {
        banner.textContent = words;
        banner.hidden = !words;
        banner.dataset.found = found;
        for (const live of document.querySelectorAll("[data-live]")) htmx.trigger(live, "look");
      }
    }
    setTimeout(look, PAUSE);
  }
  setTimeout(look, PAUSE);
}

// Prevents sending a form twice.

document.addEventListener("submit", (event) => {
  if (event.defaultPrevented) return;
  const form = event.target;
  // Without a service the browser would leave the page for one of its own.
  if (document.querySelector("[data-outage]").dataset.found === "silent") {
    event.preventDefault();
    return;
  }
  if (form.dataset.sent) event.preventDefault();
  else if (form.method === "post") form.dataset.sent = "true";
});
addEventListener("pageshow", () => {
  for (const form of document.forms) delete form.dataset.sent;
});

// The code of a list stays open while its filters change. Buttons, which are shown where scripts
// run, copy the code or the id beside them.

let isCodeOpen = false;
document.addEventListener(
  "toggle",
  (event) => {
    if (event.target.matches(".as-api")) isCodeOpen = event.target.open;
  },
  true,
);

document.addEventListener("htmx:afterSwap", () => {
  for (const code of document.querySelectorAll(".as-api")) code.open = isCodeOpen;
});
document.addEventListener("click", async (event) => {
  const place = event.target.closest("[data-copy]")?.closest("section, .copyable");
  if (!place) return;
  const told = place.querySelector("output");
  try {
    await navigator.clipboard.writeText(place.querySelector("code").textContent);
    told.textContent = gettext("Copied");
  } catch {
    told.textContent = gettext("Not allowed: select the text");
  }
  setTimeout(() => {
    told.textContent = "";
  }, 4000);
});

for (const toggle of document.querySelectorAll("[data-theme-toggle]")) setUpThemeToggle(toggle);
document.querySelector("[data-goes-on]")?.requestSubmit();
watchForOutages(document.querySelector("[data-outage]"));
