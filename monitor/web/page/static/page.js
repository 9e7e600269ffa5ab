// Keeps the page live: news of the daemon, and a look now and then, fetch the page anew, and what has changed is put in
// its place. Without this file the page is as it was when it was loaded.
"use strict";

(() => {
  const live = document.getElementById("live");
  const content = document.getElementById("content");
  const news = document.getElementById("news");
  const icon = document.getElementById("icon");
  if (!live || !content || !window.morph) return;

  const GAP = 1000; // between two looks, however much happens
  const SPREAD = 150; // many pages that hear the same do not ask at the same instant
  const LOOK = 15_000; // latencies and ages change without news
  const LOOK_HIDDEN = 60_000; // for the tab's title and icon alone
  const LONGEST_WAIT = 30_000;
  const PATIENCE = 20_000; // longer than the daemon waits for a database that hangs
  const SETTLE = 5000; // a connection that is back sooner is nothing to read aloud
  const STEADY = 10_000; // a stream that was cut sooner is tried less and less often
  const STAYS_AWAY = "away";

  let stream = null;
  let streaming = false;
  let opened = 0;
  let looking = null; // the look that is under way
  let again = false; // news came meanwhile
  let began = -GAP;
  let timer = 0;
  let due = 0;
  let failures = 0; // of looks, one after the other
  let cuts = 0; // of the stream, likewise
  let restart = 0;
  let ended = false;
  let tellLost = 0;
  let toldLost = false;
  let asOf = Date.parse(live.querySelector("time")?.dateTime || new Date().toISOString());
  let offset = asOf - Date.now(); // the ages are by the daemon's clock
  let lastNews = content.querySelector("[data-news]")?.dataset.news;

  const wait = (count) => Math.min(1000 * 2 ** count, LONGEST_WAIT) * (0.5 + Math.random() / 2);
  const clock = (instant) => `${new Date(instant).toISOString().slice(11, 19)} UTC`;

  // How it stands with the page itself.

  function say(word, text) {
    live.className = `live ${word}`;
    if (live.textContent !== text) live.textContent = text;
  }

  function banner(text, link) {
    let one = document.getElementById("stale");
    if (text === null) { one?.remove(); return; }
    if (!one) {
      one = document.createElement("p");
      one.id = "stale";
      content.before(one);
    }
    one.textContent = text;
    if (link) {
      const way = document.createElement("a");
      way.href = `/login?next=${encodeURIComponent(location.pathname + location.search)}`;
      way.textContent = link;
      one.append(" ", way);
    }
  }

  function announce(text) {
    news.textContent = "";
    setTimeout(() => { news.textContent = text; }, 100); // the same words twice are two pieces of news
  }

  function isFresh() {
    banner(null);
    clearTimeout(tellLost);
    tellLost = 0;
    if (toldLost) announce("The page is live again.");
    toldLost = false;
    if (!stream && !restart) listen();
    showLive();
  }

  function showLive() {
    if (streaming) say("on", `Live, as of ${clock(asOf)}`);
    else say("", `As of ${clock(asOf)}; looks every ${LOOK / 1000} s`);
  }

  function isLost(reason) {
    const text = `No longer live, as of ${clock(asOf)}`;
    say("off", text);
    banner(`${reason} What you see is as of ${clock(asOf)}. It is tried again by itself.`);
    icon.href = live.dataset.lostIcon;
    if (!document.title.startsWith("Not live: ")) document.title = `Not live: ${document.title}`;
    if (!tellLost && !toldLost) {
      tellLost = setTimeout(() => { toldLost = true; announce(`${text}. ${reason}`); }, SETTLE);
    }
  }

  function isEnded() {
    ended = true;
    hush();
    drop();
    say("off", `No longer live, as of ${clock(asOf)}`);
    banner(`Your login has ended. What you see is as of ${clock(asOf)}.`, "Log in again");
    icon.href = live.dataset.lostIcon;
    document.title = "Login ended – llm-monitor";
    announce("Your login has ended: log in again to see more.");
  }

  // A look: the whole page, as the server makes it.

  function soon(delay) {
    if (ended) return;
    if (looking) { again = true; return; }
    const at = Math.max(performance.now() + delay, began + GAP);
    if (timer && due <= at) return;
    drop();
    due = at;
    timer = setTimeout(look, at - performance.now());
  }

  function drop() {
    clearTimeout(timer);
    timer = 0;
  }

  async function look() {
    drop();
    began = performance.now();
    again = false;
    looking = fetch(location.href, {
      headers: { Accept: "text/html", "X-Page-Script": "1" }, signal: AbortSignal.timeout(PATIENCE),
    });
    let failed = "";
    try {
      const answer = await looking;
      failed = take(answer, await answer.text());
    } catch {
      failed = "The daemon is not reached.";
      hush(); // a stream that nobody is at the other end of looks like one without news
    }
    looking = null;
    if (ended) return;
    failures = failed ? failures + 1 : 0;
    if (failed === STAYS_AWAY) say("", "Looks again by itself");
    else if (failed) isLost(failed);
    else isFresh();
    if (failed) soon(wait(failures));
    else if (again) soon(Math.random() * SPREAD);
    else soon(document.hidden ? LOOK_HIDDEN : LOOK);
  }

  // Puts an answer in its place; says why it cannot.
  function take(answer, text) {
    const page = new DOMParser().parseFromString(text, "text/html");
    const fresh = page.getElementById("content");
    const isAway = answer.status === 503 && page.querySelector("[data-away]");
    if (content.querySelector("[data-away]")) {
      if (answer.ok) { hush(); ended = true; location.reload(); }
      return STAYS_AWAY;
    }
    if (isAway) return "The database is away: nothing moves without a record.";
    if (answer.ok && !fresh && page.querySelector("form.login")) { isEnded(); return ""; }
    if (answer.status === 404 && location.pathname !== "/") return "This provider is no more.";
    if (!answer.ok || !fresh) return `The daemon answers with an error (${answer.status}).`;
    asOf = Date.parse(page.querySelector("#live time").dateTime);
    offset = asOf - Date.now();
    put(page, fresh);
    return "";
  }

  const states = () => new Map([...content.querySelectorAll("article[id]")].map((one) => [one.id, one.dataset.state]));

  function put(page, fresh) {
    const before = states();
    window.morph(content, fresh);
    for (const one of content.querySelectorAll("article[id]")) {
      if (before.has(one.id) && before.get(one.id) !== one.dataset.state) one.classList.add("fresh");
    }
    if (document.title !== page.title) document.title = page.title;
    const href = page.getElementById("icon").getAttribute("href");
    if (icon.getAttribute("href") !== href) icon.setAttribute("href", href);
    const told = content.querySelector("[data-news]");
    if (told && told.dataset.news !== lastNews) {
      lastNews = told.dataset.news;
      const lines = [told, ...told.parentElement.querySelectorAll(":scope > .asked")];
      announce(lines.map((one) => one.textContent.replace(/\s+/g, " ").trim()).join(" "));
    }
    document.dispatchEvent(new Event("page-fresh"));
    tick();
  }

  // News. A listener's place is somebody else's while nobody looks.

  function listen() {
    clearTimeout(restart);
    restart = 0;
    if (ended || stream || document.hidden) return;
    stream = new EventSource(live.dataset.stream);
    stream.onopen = () => { streaming = true; opened = performance.now(); };
    // `resync` comes first of all, and whenever something may have been missed.
    for (const name of ["resync", "active", "health", "configuration"]) {
      stream.addEventListener(name, () => soon(Math.random() * SPREAD));
    }
    stream.onerror = () => {
      cuts = streaming && performance.now() - opened > STEADY ? 1 : cuts + 1;
      hush();
      restart = setTimeout(listen, wait(cuts));
      soon(0); // the look says what is the matter
    };
  }

  function hush() {
    clearTimeout(restart);
    restart = 0;
    stream?.close();
    stream = null;
    streaming = false;
  }

  document.addEventListener("visibilitychange", () => {
    if (document.hidden) { hush(); drop(); soon(LOOK_HIDDEN); return; }
    cuts = 0;
    listen();
    soon(0);
  });
  window.addEventListener("pagehide", hush);
  window.addEventListener("pageshow", (event) => { if (event.persisted) { listen(); soon(0); } });
  window.addEventListener("online", () => { failures = cuts = 0; listen(); soon(0); });

  // Ages, between two looks and also when there are none.

  function age(milliseconds) {
    const seconds = Math.max(Math.floor(milliseconds / 1000), 0);
    const [minutes, hours, days] = [60, 3600, 86400].map((one) => Math.floor(seconds / one));
    if (seconds < 60) return `${seconds} s`;
    if (minutes < 60) return `${minutes} min`;
    if (hours < 24) return minutes % 60 ? `${hours} h ${minutes % 60} min` : `${hours} h`;
    return days < 14 && hours % 24 ? `${days} d ${hours % 24} h` : `${days} d`;
  }

  function tick() {
    if (document.hidden) return;
    const now = Date.now() + offset;
    for (const one of content.querySelectorAll("time[data-ago]")) {
      const passed = now - Date.parse(one.dateTime);
      const text = passed < 0 ? `in ${age(-passed)}` : `${age(passed)} ago`;
      if (one.textContent !== text) one.textContent = text;
    }
  }

  setInterval(tick, 5000);
  listen();
  soon(LOOK);
})();
