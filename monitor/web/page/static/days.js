// Tells a day of the uptime bars: under the pointer or the finger, and by the arrow keys. Without this file the table
// below the bars tells the days that had trouble.
"use strict";

(() => {
  const DAY = 86_400_000;
  const DATE = new Intl.DateTimeFormat("en-GB", {
    timeZone: "UTC", weekday: "short", day: "numeric", month: "short", year: "numeric",
  });
  const STEPS = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageUp: -7, PageDown: 7, Home: -1e3, End: 1e3 };
  let tip = null;
  let shown = null; // the bars whose day is told

  // A day each, the oldest first; `code*5` stands for five in a row.
  function codes(bars) {
    return bars.dataset.days.split(" ").flatMap((one) => {
      const [code, times] = one.split("*");
      return Array(Number(times || 1)).fill(code);
    });
  }

  function age(minutes) {
    const hours = Math.floor(minutes / 60);
    if (hours === 0) return `${minutes} min`;
    return minutes % 60 ? `${hours} h ${minutes % 60} min` : `${hours} h`;
  }

  function share(up, down) {
    if (down === 0) return "100 %";
    const part = up / (up + down); // never rounded up
    return part >= 0.99 ? `${(Math.floor(part * 1e4) / 100).toFixed(2)} %` : `${(Math.floor(part * 1e3) / 10).toFixed(1)} %`;
  }

  // A day in words: its date, and what is told of it.
  function words(bars, number) {
    const all = codes(bars);
    const date = DATE.format(Date.parse(bars.dataset.first) + number * DAY);
    const today = number === all.length - 1 ? ", so far" : "";
    if (all[number] === "-") return { date: date + today, told: ["no data"], bad: false };
    const [up, down, unknown] = all[number].split(",").map(Number);
    const told = [`${share(up, down)} up`];
    if (down) told.push(`down ${age(down)}`);
    if (unknown) told.push(`no data for ${age(unknown)}`);
    return { date: date + today, told, bad: down > 0 };
  }

  function line(text, name) {
    const one = document.createElement("p");
    one.className = name;
    one.textContent = text;
    return one;
  }

  function show(bars, number) {
    if (tip === null) {
      tip = document.createElement("div");
      tip.className = "tip";
      tip.setAttribute("aria-hidden", "true"); // the bars themselves say it to a screen reader
      tip.addEventListener("pointerleave", (event) => { if (event.pointerType === "mouse") leave(event); });
      document.body.append(tip);
    }
    const last = codes(bars).length - 1;
    const day = Math.min(Math.max(number, 0), last);
    const { date, told, bad } = words(bars, day);
    bars.dataset.day = day;
    bars.setAttribute("aria-valuenow", day);
    bars.setAttribute("aria-valuetext", `${date}: ${told.join(", ")}`);
    tip.replaceChildren(line(date, "date"), ...told.map((text) => line(text, bad ? "told bad" : "told")));
    tip.hidden = false;
    shown = bars;
    const place = bars.getBoundingClientRect();
    const at = place.left + ((day + 0.5) / (last + 1)) * place.width;
    const left = Math.min(Math.max(at - tip.offsetWidth / 2, 8), document.documentElement.clientWidth - tip.offsetWidth - 8);
    const above = place.top - tip.offsetHeight - 4;
    tip.style.left = `${left + scrollX}px`;
    tip.style.top = `${(above > 0 ? above : place.bottom + 4) + scrollY}px`;
    tip.style.setProperty("--at", `${at - left}px`);
    tip.classList.toggle("below", above <= 0);
  }

  function hide() {
    if (tip) tip.hidden = true;
    shown = null;
  }

  function under(bars, event) {
    const place = bars.getBoundingClientRect();
    return Math.floor(((event.clientX - place.left) / place.width) * codes(bars).length);
  }

  // From the bars onto what they tell, or back, is not away.
  function leave(event) {
    const to = event.relatedTarget;
    if (to && (tip?.contains(to) || to.closest?.(".days") === shown)) return;
    const focused = document.activeElement;
    if (focused?.matches(".days:focus-visible")) show(focused, Number(focused.dataset.day ?? 1e3));
    else hide();
  }

  const bars = (event) => event.target.closest?.(".days[data-served]") || null;

  document.addEventListener("pointermove", (event) => {
    const found = bars(event);
    if (found) show(found, under(found, event));
  });
  document.addEventListener("pointerdown", (event) => {
    const found = bars(event);
    if (found) show(found, under(found, event));
    else if (!tip?.contains(event.target)) hide();
  });
  document.addEventListener("pointerout", (event) => { if (event.pointerType === "mouse" && bars(event)) leave(event); });
  document.addEventListener("focusin", (event) => {
    const found = bars(event);
    if (found && found.matches(":focus-visible")) show(found, Number(found.dataset.day ?? 1e3));
    else if (shown && !found) hide();
  });
  document.addEventListener("focusout", (event) => { if (bars(event) === shown) hide(); });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") { hide(); return; }
    const found = bars(event);
    if (!found || !(event.key in STEPS) || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    show(found, Number(found.dataset.day ?? 1e3) + STEPS[event.key]);
  });

  // A slider whose value is a day: what a screen reader and a keyboard know how to go through.
  function serve() {
    for (const one of document.querySelectorAll(".days")) {
      const last = codes(one).length - 1;
      const picture = one.querySelector("svg");
      const day = Math.min(Number(one.dataset.day ?? last), last);
      const { date, told } = words(one, day);
      const wanted = {
        "data-served": "", "data-day": day, "tabindex": 0, "role": "slider", "aria-valuemin": 0, "aria-valuemax": last,
        "aria-valuenow": day, "aria-valuetext": `${date}: ${told.join(", ")}`,
        "aria-label": `Uptime of ${one.dataset.name} by day. ${picture.getAttribute("aria-label")}`,
      };
      for (const [name, value] of Object.entries(wanted)) one.setAttribute(name, value);
    }
    if (shown && !shown.isConnected) hide();
    else if (shown) show(shown, Number(shown.dataset.day));
  }

  document.addEventListener("page-fresh", serve);
  serve();
})();
