// Makes one piece of the page like a fresh one and keeps whatever is the same: what has the focus, what was opened, what
// was typed, what is selected. A child is known by its id or data-key, any other by its place.
"use strict";

window.morph = (() => {
  const key = (node) => node.id || node.dataset?.key || "";
  // What the person has done since, not the server's to say.
  const KEPT = { DETAILS: ["open"], INPUT: ["value", "checked"], OPTION: ["selected"] };

  const fits = (old, fresh) =>
    old.nodeType === fresh.nodeType && old.nodeName === fresh.nodeName && key(old) === key(fresh)
    // A link under somebody's finger never comes to lead elsewhere.
    && (old.nodeName !== "A" || old.getAttribute("href") === fresh.getAttribute("href"));

  function attributes(old, fresh) {
    const kept = KEPT[old.nodeName] || [];
    for (const { name, value } of fresh.attributes) {
      if (!kept.includes(name) && old.getAttribute(name) !== value) old.setAttribute(name, value);
    }
    // What a script has added to something that it serves is its own.
    if (old.hasAttribute("data-served")) return;
    for (const { name } of [...old.attributes]) {
      if (!kept.includes(name) && !fresh.hasAttribute(name)) old.removeAttribute(name);
    }
  }

  function move(parent, node, before) {
    if (parent.moveBefore && node.isConnected) parent.moveBefore(node, before); // keeps the focus
    else parent.insertBefore(node, before);
  }

  function children(old, fresh) {
    const wanted = new Set([...fresh.children].map(key));
    const known = new Map();
    for (const child of [...old.children]) {
      const name = key(child);
      if (name && !wanted.has(name)) child.remove();
      else if (name) known.set(name, child);
    }
    let place = old.firstChild;
    for (const want of [...fresh.childNodes]) {
      const name = key(want);
      let match = name ? known.get(name) : place;
      if (match && !fits(match, want)) match = null;
      known.delete(name);
      if (!match) {
        old.insertBefore(document.importNode(want, true), place);
      } else {
        if (match === place) place = place.nextSibling;
        else move(old, match, place);
        node(match, want);
      }
    }
    while (place) {
      const next = place.nextSibling;
      place.remove();
      place = next;
    }
  }

  function node(old, fresh) {
    if (old.isEqualNode(fresh)) return;
    if (old.nodeType !== Node.ELEMENT_NODE) {
      if (old.data !== fresh.data) old.data = fresh.data;
      return;
    }
    attributes(old, fresh);
    children(old, fresh);
  }

  return (old, fresh) => {
    const focused = document.activeElement;
    node(old, fresh);
    if (focused && focused !== document.body && document.activeElement !== focused) {
      const place = focused.isConnected ? focused : document.getElementById("main");
      place.focus({ preventScroll: true });
    }
  };
})();
