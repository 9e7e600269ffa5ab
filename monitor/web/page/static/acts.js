// Opens the page that asks before an act in a dialog over the page that one is on. Without this file the same links
// and forms work as pages of their own.
"use strict";

(() => {
  const PAGE = { Accept: "text/html", "X-Page-Script": "1" };
  let dialog = null;
  let asked = null; // the link that opened the dialog

  const parse = (text) => new DOMParser().parseFromString(text, "text/html");
  const path = (address) => new URL(address, location.href).pathname;

  function open(content) {
    if (dialog === null) {
      dialog = document.createElement("dialog");
      dialog.setAttribute("aria-labelledby", "act-title");
      dialog.addEventListener("close", returnFocus);
      dialog.addEventListener("click", (event) => {
        const way = event.target.closest("[data-cancel]");
        if (way || event.target === dialog) { event.preventDefault(); dialog.close(); }
      });
      dialog.addEventListener("submit", (event) => { event.preventDefault(); send(event.target); });
      dialog.addEventListener("change", (event) => { if (event.target.matches("[data-choice]")) foresee(event.target); });
      document.body.append(dialog);
    }
    dialog.replaceChildren(content);
    if (!dialog.open) dialog.showModal();
  }

  function returnFocus() {
    // The page may have been made anew meanwhile: the link to the same act takes the focus.
    const same = [...document.querySelectorAll("a[data-act]")].find((one) => one.getAttribute("href") === asked);
    if (same) same.focus();
  }

  // What an answer has to show; null when it led to another page, which is gone to.
  async function content(answer) {
    if (path(answer.url) === "/login") { location.assign(answer.url); return null; }
    const read = parse(await answer.text());
    const found = read.querySelector("[data-confirm]");
    if (found) return found;
    const plain = document.createElement("section");
    plain.append(...read.querySelectorAll("main > *"));
    plain.querySelector("h1")?.setAttribute("id", "act-title");
    return plain.childElementCount ? plain : null;
  }

  async function ask(link) {
    asked = link.getAttribute("href");
    try {
      const answer = await fetch(link.href, { headers: PAGE });
      const found = await content(answer);
      if (found) open(found);
    } catch {
      location.assign(link.href); // the browser says what is wrong
    }
  }

  async function send(form) {
    const button = form.querySelector("button[type=submit]");
    button.disabled = true;
    form.setAttribute("aria-busy", "true");
    try {
      const answer = await fetch(form.action, {
        method: "POST", headers: PAGE, body: new URLSearchParams(new FormData(form)),
      });
      if ((answer.headers.get("content-type") || "").startsWith("application/json") && answer.ok) {
        location.assign((await answer.json()).go);
        return;
      }
      const found = await content(answer);
      if (found) {
        open(found);
        const alarm = dialog.querySelector("[role=alert]");
        if (alarm) { alarm.tabIndex = -1; alarm.focus(); }
        return;
      }
    } catch {
      tell(form, "The daemon was not reached. Look at the status page whether it was done before you try again.");
    }
    form.removeAttribute("aria-busy");
    button.disabled = false;
  }

  function tell(form, text) {
    const line = document.createElement("p");
    line.className = "bad";
    line.setAttribute("role", "alert");
    line.textContent = text;
    form.parentElement.querySelectorAll(":scope > [role=alert]").forEach((one) => one.remove());
    form.before(line);
  }

  // The sentence for another choice is the server's, as everything is.
  async function foresee(choice) {
    const form = choice.form;
    const address = new URL(form.action);
    address.searchParams.set("chosen", choice.value);
    try {
      const answer = await fetch(address, { headers: PAGE });
      const will = parse(await answer.text()).querySelector("[data-will]");
      const place = dialog.querySelector("[data-will]");
      if (will && place && form.isConnected && new FormData(form).get(choice.name) === choice.value) {
        place.replaceChildren(...will.childNodes);
      }
    } catch { /* the general sentence stays */ }
  }

  async function follow() {
    for (;;) {
      const place = document.querySelector("[data-running]");
      if (!place) return;
      try {
        const answer = await fetch(location.href, { headers: PAGE });
        const found = parse(await answer.text()).querySelector("main [role=status]");
        if (!found) { location.reload(); return; }
        place.replaceChildren(...found.childNodes);
        if (!found.hasAttribute("data-running")) place.removeAttribute("data-running");
      } catch {
        await new Promise((done) => setTimeout(done, 3000));
      }
    }
  }

  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-act]");
    if (!link || event.button !== 0 || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    ask(link);
  });
  follow();
})();
