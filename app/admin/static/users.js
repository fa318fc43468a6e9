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
    tell(
      gettext("The search failed: %(reason)s. The list below is not its result. Search again.", { reason }),
    );
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
    form.addEventListener(failure, () => fail(gettext("the service does not answer")));
  }
}

/** What an error's page says. */
function headingOf(xhr) {
  const page = new DOMParser().parseFromString(xhr.responseText, "text/html");
  return page.querySelector("h1")?.textContent ?? gettext("the service failed");
}

for (const form of document.querySelectorAll("[data-filters][hx-target]")) setUpFilters(form);

// Who is selected stays selected when the list is shown anew.

Idiomorph.defaults.callbacks.beforeAttributeUpdated = (name, { name: field }) =>
  name !== "checked" || field !== "id";

// The ids of the selected users are stored in the tab, so that they survive paging, sorting and
// searching; without scripts the users of one page are selected. Those of other lists are not stored.

const MAX_SELECTED = 300;

function storedSelection({ dataset }) {
  const [owner, ids] = JSON.parse(sessionStorage.getItem("selection") ?? "[]");
  return dataset.selection && owner === dataset.selection ? ids : [];
}

function storeSelection({ dataset }, ids) {
  if (dataset.selection) sessionStorage.setItem("selection", JSON.stringify([dataset.selection, ids]));
}

function boxesOf(form) {
  return [...form.querySelectorAll("input[name=id]")];
}

/** The ids of the users who are selected on other pages. */
function selectedElsewhere(form) {
  const here = new Set(boxesOf(form).map((box) => box.value));
  return storedSelection(form).filter((id) => !here.has(id));
}

// Counts the selected users; while there are none, the buttons are disabled.

function showSelection(form) {
  const boxes = boxesOf(form);
  const here = boxes.filter((box) => box.checked).length;
  const chosen = here + selectedElsewhere(form).length;
  const all = form.querySelector("[data-select-all]");
  all.checked = here === boxes.length;
  all.indeterminate = here > 0 && !all.checked;
  // All users that match can be selected once all of the page are.
  const matching = form.querySelector("[data-matching]");
  const box = matching?.querySelector("input");
  if (box) box.checked &&= all.checked;
  const isValid = box?.checked || (chosen > 0 && chosen <= MAX_SELECTED);
  let note = chosen ? gettext("%(count)s selected", { count: chosen }) : gettext("None selected");
  if (box?.checked) note = gettext("%(whom)s selected", { whom: matching.textContent.trim() });
  else if (chosen > MAX_SELECTED)
    note = gettext("%(count)s selected, of %(most)s at most", { count: chosen, most: MAX_SELECTED });
  form.querySelector("[data-selected]").textContent = note;
  form.classList.toggle("has-selection", chosen > 0);
  for (const button of form.querySelectorAll("[name=action]")) button.disabled = !isValid;
}

function restoreSelection(form) {
  const ids = storedSelection(form);
  if (form.dataset.selection) for (const box of boxesOf(form)) box.checked = ids.includes(box.value);
  showSelection(form);
}

/** Checks or unchecks all boxes of the page, or stores what was checked one by one. */
function changeSelection(form, areChecked) {
  const boxes = boxesOf(form);
  if (areChecked !== undefined) for (const box of boxes) box.checked = areChecked;
  const here = boxes.filter((box) => box.checked).map((box) => box.value);
  storeSelection(form, [...selectedElsewhere(form), ...here]);
  showSelection(form);
}

document.addEventListener("change", ({ target }) => {
  const form = target.closest("[data-selection]");
  if (form) changeSelection(form, target.matches("[data-select-all]") ? target.checked : undefined);
});
document.addEventListener("click", ({ target }) => {
  const form = target.closest("[data-clear]")?.form;
  if (!form) return;
  storeSelection(form, []);
  changeSelection(form, false);
  form.querySelector("[data-select-all]").focus(); // the button is gone
});
document.addEventListener("formdata", ({ target, formData }) => {
  if (!target.matches("[data-selection]")) return;
  if (formData.has("matching")) formData.delete("id");
  else for (const id of selectedElsewhere(target)) formData.append("id", id);
});
document.addEventListener("submit", ({ target }) => {
  if (target.matches("[data-ends-selection]")) sessionStorage.removeItem("selection");
});

// Boxes may have been checked before the scripts came. After a reload, and on the way back, it was the
// browser that checked them, as they once were.

const [navigation] = performance.getEntriesByType("navigation");
if (navigation?.type === "navigate") {
  for (const form of document.querySelectorAll("[data-selection]")) {
    const early = boxesOf(form).filter((box) => box.checked);
    const ids = new Set([...storedSelection(form), ...early.map((box) => box.value)]);
    if (early.length) storeSelection(form, [...ids]);
  }
}
htmx.onLoad((part) => {
  for (const form of part.querySelectorAll("[data-selection]")) restoreSelection(form);
});
addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("[data-selection]")) restoreSelection(form);
});

// Focus the first invalid field of a refused form, or the first field of a new one; not while the
// user types into another one, where the scripts came late.

const first =
  document.querySelector("[data-form] [aria-invalid]") ??
  document.querySelector("[data-form] input:not([type=hidden])");
if (document.activeElement === document.body) first?.focus();

// The drawer: a user beside the list, at the address of the user's own page. Without scripts, and
// after a reload, that address is the page.
function setUpDrawer(drawer) {
  const body = document.getElementById("drawer-body");
  const fault = drawer.querySelector("[data-drawer-fault]");
  const outage = document.querySelector("[data-outage]");
  const title = document.title;
  let list = location.href;
  let isSure = false;

  function tell(message) {
    fault.textContent = message;
    fault.hidden = !message;
  }

  // What was typed is not lost: before it is left, the user is asked.

  function isTyped(field) {
    if (field.type === "hidden" || !("defaultValue" in field)) return false;
    return field.checked !== field.defaultChecked || field.value !== field.defaultValue;
  }

  function isDirty() {
    const forms = [...body.querySelectorAll("[data-form]")];
    return forms.some((form) => form.matches("[data-unsaved]") || [...form.elements].some(isTyped));
  }

  function mayLeave() {
    return isSure || !isDirty() || confirm(gettext("Leave this form? What you typed is not saved."));
  }

  function show(url, name) {
    if (!drawer.open) {
      drawer.prepend(outage); // what is behind the drawer is neither seen nor read aloud
      drawer.showModal();
      body.replaceChildren(
        Object.assign(document.createElement("p"), { textContent: gettext("Loading %(name)s…", { name }) }),
      );
      drawer.setAttribute("aria-busy", "true");
    }
    tell("");
    htmx.ajax("GET", url, { source: drawer, target: body, swap: "innerHTML" });
  }

  function hide() {
    isSure = false;
    drawer.close();
    body.replaceChildren();
    document.body.prepend(outage);
    document.title = title;
    // The row of the user may be gone.
    if (document.activeElement === document.body) document.getElementById("main").focus();
  }

  function leave() {
    if (!mayLeave()) return;
    isSure = true;
    history.back();
  }

  function open(link, url = link.href) {
    if (!mayLeave()) return;
    body.replaceChildren();
    if (drawer.open) {
      history.replaceState({ drawer: true }, "", url);
    } else {
      list = location.href;
      link.focus();
      history.pushState({ drawer: true }, "", url);
    }
    show(url, link.firstChild.textContent);
  }

  // The focus goes to the first field of a form, to what is wrong in it, or to the current tab.
  function focus() {
    const places = ["[data-form] [aria-invalid]", "[data-form] input:not([type=hidden])", "[aria-current]"];
    (places.map((place) => body.querySelector(place)).find(Boolean) ?? body).focus();
  }

  document.addEventListener("click", (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    const inside = event.target.closest("a, button, input, label, .cell-check");
    const row = inside ? null : event.target.closest("tr");
    const link = inside?.closest("[data-drawer]") ?? row?.querySelector("[data-drawer]");
    if (!link || (row && !getSelection().isCollapsed)) return;
    event.preventDefault();
    open(link);
  });
  document.addEventListener("drawer:open", (event) => open(event.target, event.detail));
  drawer.addEventListener("cancel", (event) => {
    event.preventDefault();
    leave();
  });
  drawer.addEventListener("click", (event) => {
    // The drawer itself is hit beside what it contains: on what is behind it.
    if (event.target === drawer || event.target.closest("[data-close]")) leave();
  });

  // Before htmx, which would load the list anew.
  addEventListener(
    "popstate",
    (event) => {
      const isAsked = Boolean(event.state?.drawer);
      if (isAsked || drawer.open) event.stopImmediatePropagation();
      if (isAsked) show(location.href, gettext("the user"));
      else if (drawer.open && mayLeave()) hide();
      else if (drawer.open) history.pushState({ drawer: true }, "", drawer.dataset.url);
    },
    true,
  );
  addEventListener("beforeunload", (event) => {
    if (!isSure && isDirty()) event.preventDefault();
  });

  drawer.addEventListener("htmx:beforeRequest", (event) => {
    if (event.detail.requestConfig.verb === "get" && !mayLeave()) event.preventDefault();
  });
  drawer.addEventListener("htmx:beforeOnLoad", (event) => {
    const { elt, requestConfig, xhr } = event.detail;
    if (xhr.getResponseHeader("HX-Redirect")) isSure = true;
    if (requestConfig.verb !== "post" || !xhr.getResponseHeader("HX-Refresh")) return;
    // The session has ended: sent as a page, the form comes back after the login.
    event.preventDefault();
    isSure = true;
    elt.submit();
  });
  drawer.addEventListener("htmx:beforeSwap", (event) => {
    const { detail } = event;
    const isPanel = detail.serverResponse.includes("<div data-panel>");
    detail.shouldSwap = isPanel;
    if (isPanel) detail.isError = false;
    else if (!detail.isError) location.assign(detail.xhr.responseURL);
  });
  // At once: a moment later the user may have closed the drawer, or typed into another field.
  drawer.addEventListener("htmx:afterSwap", (event) => {
    const { requestConfig, xhr } = event.detail;
    if (event.target !== body || !drawer.open) return;
    drawer.removeAttribute("aria-busy");
    tell("");
    const isForm = requestConfig.verb === "post" && xhr.responseURL.endsWith(requestConfig.path);
    if (xhr.status < 400 && !isForm) {
      drawer.dataset.url = xhr.responseURL;
      history.replaceState({ drawer: true }, "", xhr.responseURL);
    }
    drawer.scrollTo(0, 0);
    focus();
    if (requestConfig.verb === "post" && xhr.status < 400) {
      const swap = "morph:outerHTML";
      htmx.ajax("GET", list, { target: "#users", select: "#users", selectOOB: "#count:innerHTML", swap });
    }
  });
  drawer.addEventListener("htmx:responseError", (event) =>
    tell(gettext("%(reason)s. Try again.", { reason: headingOf(event.detail.xhr) })),
  );
  for (const failure of ["htmx:sendError", "htmx:timeout"]) {
    drawer.addEventListener(failure, () => tell(gettext("The service does not answer. Try again.")));
  }
}

const drawer = document.getElementById("drawer");
if (drawer) setUpDrawer(drawer);

// The page of a user that was reloaded while the list was behind it: the way back leads to the list.

const loaded = location.pathname + location.search;
if (!drawer) {
  addEventListener("popstate", () => {
    if (location.pathname + location.search !== loaded) location.reload();
  });
}
