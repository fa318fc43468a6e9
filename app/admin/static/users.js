// Scripts of the views of users. All views work without them.
"use strict";

// Filters that were left empty are left out of the URL.

document.addEventListener("formdata", (event) => {
  if (!event.target.matches("[data-filters]")) return;
  for (const [name, value] of [...event.formData]) {
    if (value === "") event.formData.delete(name);
  }
});

// A list that is not the result of its filters is dimmed, and nothing in it can be selected: while
// the result is awaited, and after a search that failed, which is reported above it.

function setUpFilters(form) {
  const list = () => document.querySelector(form.getAttribute("hx-target"));
  const told = document.createElement("p");
  told.className = "notice notice-error";
  told.role = "alert";
  told.hidden = true;
  form.after(told);

  function tell(message) {
    told.textContent = message;
    told.hidden = !message;
  }

  function fail(reason) {
    tell(`The search failed: ${reason}. The list below is not its result. Search again.`);
  }

  function wait() {
    list().inert = true;
  }

  form.addEventListener("input", wait);
  form.addEventListener("htmx:beforeRequest", wait);
  form.addEventListener("htmx:afterRequest", (event) => {
    if (event.detail.successful) tell("");
  });
  form.addEventListener("htmx:responseError", (event) => fail(headingOf(event.detail.xhr)));
  for (const failure of ["htmx:sendError", "htmx:timeout"]) {
    form.addEventListener(failure, () => fail("the service does not answer"));
  }
}

/** What an error's page says. */
function headingOf(xhr) {
  const page = new DOMParser().parseFromString(xhr.responseText, "text/html");
  return page.querySelector("h1")?.textContent ?? "the service failed";
}

for (const form of document.querySelectorAll("[data-filters][hx-target]")) setUpFilters(form);

// Who is selected stays selected when the list is shown anew.

Idiomorph.defaults.callbacks.beforeAttributeUpdated = (name, { name: field }) =>
  name !== "checked" || field !== "id";

// Counts the selected users; while there are none, the buttons are disabled.

function showSelection(form) {
  const boxes = [...form.querySelectorAll("input[name=id]")];
  const chosen = boxes.filter((box) => box.checked).length;
  const all = form.querySelector("[data-select-all]");
  all.checked = chosen === boxes.length;
  all.indeterminate = chosen > 0 && !all.checked;
  form.querySelector("[data-selected]").textContent = chosen ? `${chosen} selected` : "None selected";
  for (const button of form.querySelectorAll("button")) button.disabled = chosen === 0;
}

function setUpSelection(form) {
  const all = form.querySelector("[data-select-all]");
  all.hidden = false;
  all.addEventListener("change", () => {
    for (const box of form.querySelectorAll("input[name=id]")) box.checked = all.checked;
  });
  form.addEventListener("change", () => showSelection(form));
  showSelection(form);
}

htmx.onLoad((part) => {
  for (const form of part.querySelectorAll("[data-selection]")) setUpSelection(form);
});
addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("[data-selection]")) showSelection(form);
});

// Focus the first invalid field of a refused form, or the first field of a new one.

const first =
  document.querySelector("[data-form] [aria-invalid]") ??
  document.querySelector("[data-form] input:not([type=hidden])");
first?.focus();

// A file is previewed without leaving the view, so that the browser still has it for the second
// request. What is refused is shown in place: see `responseHandling` in upload.html.

function megabytes(bytes) {
  return `${(bytes / 1024 / 1024).toFixed(2)} MiB`;
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
    const message = `Not sent: the file has ${megabytes(size)}, and at most ${megabytes(most)} can be sent.`;
    tell(size > most ? message : "");
    return size > most;
  }

  chosen.addEventListener("change", () => {
    preview().replaceChildren();
    isTooLarge();
  });
  form.addEventListener("htmx:beforeRequest", (event) => {
    if (isTooLarge()) event.preventDefault();
    else show(0, "Sending…");
  });
  form.addEventListener("htmx:xhr:progress", (event) => {
    const { lengthComputable, loaded, total } = event.detail;
    if (!lengthComputable || state.hidden) return;
    if (loaded < total) show(loaded / total, `${Math.round((100 * loaded) / total)} % sent`);
    else show(null, "Checking…");
  });
  form.addEventListener("htmx:afterRequest", () => {
    state.hidden = true;
  });
  form.addEventListener("submit", () => {
    if (!state.hidden || !preview().querySelector("[name=mark]")) return;
    show(null, "Creating the users…");
  });
  addEventListener("htmx:afterSettle", (event) => {
    if (event.detail.target.id === "preview") preview().querySelector("[tabindex]")?.focus();
  });
  form.addEventListener("htmx:responseError", (event) => {
    tell(`Not checked: ${headingOf(event.detail.xhr)}.`);
  });
  for (const failure of ["htmx:sendError", "htmx:timeout"]) {
    form.addEventListener(failure, () => tell("Not checked: the service does not answer. Try again."));
  }
}

const upload = document.getElementById("upload");
if (upload) setUpUpload(upload);
