// The live part of the overview: a stream of events, and while nothing is heard of one, a request
// every few seconds. Nothing while the tab is hidden, and at once when it is shown again.
"use strict";

const TRY_AGAIN = 15_000;

/** Shows new HTML; what the reader has opened, scrolled, focused or selected stays. */
function refresh(live, html) {
  const selection = getSelection();
  Idiomorph.morph(live, html, {
    morphStyle: "innerHTML",
    callbacks: {
      beforeAttributeUpdated: (name) => name !== "open",
      beforeNodeMorphed: (node) =>
        node.nodeType !== Node.TEXT_NODE || selection.isCollapsed || !selection.containsNode(node, true),
    },
  });
}

function setUpLive(live) {
  const announcer = document.getElementById("announcer");
  const verdict = () => live.querySelector("[data-verdict]").textContent.trim();
  const since = (...moments) => Date.now() - Math.max(...moments);
  let announced = verdict();
  let heard = Date.now();
  let asked = 0;
  let tried = 0;
  let stream = null;

  function lose() {
    live.classList.add("is-lost");
    const lost = live.querySelector("[data-lost]");
    if (announcer.textContent !== lost.textContent) announcer.textContent = lost.textContent;
    announced = "";
  }

  function show(html) {
    refresh(live, html);
    heard = Date.now();
    live.classList.remove("is-lost");
    if (verdict() !== announced) announcer.textContent = announced = verdict();
  }

  function look() {
    asked = Date.now();
    htmx.trigger(live, "look");
  }

  function closeStream() {
    stream?.close();
    stream = null;
  }

  function openStream() {
    if (stream) return;
    tried = Date.now();
    stream = new EventSource(live.getAttribute("hx-get"));
    stream.addEventListener("overview", (event) => show(event.data));
    // The session has ended: the answer to a request leads to the login.
    stream.addEventListener("end", () => {
      closeStream();
      look();
    });
    stream.addEventListener("error", () => {
      if (stream?.readyState === EventSource.CLOSED) closeStream();
    });
  }

  live.addEventListener("htmx:beforeRequest", (event) => {
    if (document.hidden) event.preventDefault();
  });
  live.addEventListener("htmx:beforeSwap", (event) => {
    event.detail.shouldSwap = false;
    if (event.detail.xhr.status === 200) show(event.detail.serverResponse);
  });
  for (const failure of ["htmx:sendError", "htmx:responseError", "htmx:timeout"]) {
    live.addEventListener(failure, () => {
      closeStream();
      lose();
    });
  }
  // A service that hangs reports no failure, and a proxy may hold a stream back.
  setInterval(() => {
    if (document.hidden) return;
    if (since(heard) > live.dataset.oldAfter * 1000) lose();
    if (since(heard, asked) > live.dataset.every * 1000) look();
    if (since(tried) > TRY_AGAIN) openStream();
  }, 1000);
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) {
      closeStream();
    } else {
      openStream();
      look();
    }
  });
  if (!document.hidden) openStream();
}

setUpLive(document.querySelector("[data-live]"));
