"use strict";

// A file is previewed without leaving the view, so that the browser still has it for the second
// request. What is refused is shown in place: see `responseHandling` in upload.html.

function megabytes(bytes) {
  const digits = { minimumFractionDigits: 2, maximumFractionDigits: 2 };
  return `${(bytes / 1024 / 1024).toLocaleString(root.lang, digits)} MiB`;
}

function setUpUpload(form) {
  const most = Number(form.dataset.maxBytes);
  const state = form.querySelector("[data-upload-state]");
  const bar = state.querySelector("progress");
  const words = state.querySelector("[data-upload-words]");
  const fault = form.querySelector("[data-upload-fault]");
  const preview = () => document.getElementById("preview");
  const chosen = form.querySelector("[type=file]");

  function tell(message) {
    fault.textContent = message;
    fault.hidden = !message;
  }

  function show(part, text) {
    state.hidden = false;
    words.textContent = text;
    if (part === null) bar.removeAttribute("value");
    else bar.value = part;
  }

  // The server would refuse it as well, but only after it was sent.
  function isTooLarge() {
    const size = chosen.files[0]?.size ?? 0;
    const message = gettext("Not sent: the file has %(size)s, and at most %(most)s can be sent.", {
      size: megabytes(size),
      most: megabytes(most),
    });
    tell(size > most ? message : "");
    return size > most;
  }

  chosen.addEventListener("change", () => {
    preview().replaceChildren();
    isTooLarge();
  });
  form.addEventListener("htmx:beforeRequest", (event) => {
    if (isTooLarge()) event.preventDefault();
    else show(0, gettext("Sending…"));
  });
  form.addEventListener("htmx:xhr:progress", (event) => {
    const { lengthComputable, loaded, total } = event.detail;
    if (!lengthComputable || state.hidden) return;
    if (loaded < total)
      show(loaded / total, gettext("%(part)s sent", { part: `${Math.round((100 * loaded) / total)} %` }));
    else show(null, gettext("Checking…"));
  });
  form.addEventListener("htmx:afterRequest", () => {
    state.hidden = true;
  });
  form.addEventListener("submit", () => {
    if (!state.hidden || !preview().querySelector("[name=mark]")) return;
    show(null, gettext("Creating the users…"));
  });
  addEventListener("htmx:afterSettle", (event) => {
    if (event.detail.target.id === "preview") preview().querySelector("[tabindex]")?.focus();
  });
  form.addEventListener("htmx:responseError", (event) => {
    tell(gettext("Not checked: %(reason)s.", { reason: headingOf(event.detail.xhr) }));
  });
  for (const failure of ["htmx:sendError", "htmx:timeout"]) {
    form.addEventListener(failure, () =>
      tell(gettext("Not checked: the service does not answer. Try again.")),
    );
  }
}

setUpUpload(document.getElementById("upload"));
