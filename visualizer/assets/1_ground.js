/* Small things that all scripts of the site share. Text from the network only ever becomes text, never markup. */
"use strict";
window.headwater = (() => {
  const listeners = {};
  const on = (name, listener) => (listeners[name] ??= []).push(listener);
  const tell = (name, fact) => (listeners[name] ?? []).forEach((listener) => listener(fact));

  function element(tag, facts = {}, ...children) {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(facts)) {
      if (name === "onclick") node.addEventListener("click", value);
      else if (name === "style") Object.assign(node.style, value);
      else if (value !== null && value !== undefined) node.setAttribute(name, value);
    }
    node.append(...children);
    return node;
  }

  /* Make `box` hold one node per item, in order; a node that stays is not touched, so that it keeps the focus. */
  function list(box, items, key, make) {
    const old = new Map([...box.children].map((node) => [node.dataset.key, node]));
    const wanted = new Set(items.map(key));
    old.forEach((node, name) => wanted.has(name) || node.remove());
    items.forEach((item, place) => {
      const node = old.get(key(item)) ?? make(item);
      node.dataset.key = key(item);
      if (box.children[place] !== node) box.insertBefore(node, box.children[place] ?? null);
    });
  }

  /* Return a function that runs `work` at most once in `pause_ms`, the last call included. */
  function seldom(pause_ms, work) {
    let timer = null;
    let last = -Infinity;
    const run = () => {
      timer = null;
      last = performance.now();
      work();
    };
    return () => {
      timer ??= setTimeout(run, Math.max(0, last + pause_ms - performance.now()));
    };
  }

  const two = (number) => String(number).padStart(2, "0");
  function clock(ms) {
    const time = new Date(ms);
    if (Number.isNaN(time.getTime())) return "–";
    return `${two(time.getUTCHours())}:${two(time.getUTCMinutes())}:${two(time.getUTCSeconds())}`;
  }
  function localClock(ms) {
    const time = new Date(ms);
    return `${two(time.getHours())}:${two(time.getMinutes())}:${two(time.getSeconds())}`;
  }
  function ago(ms, now_ms = Date.now()) {
    const seconds = Math.round((now_ms - ms) / 1000);
    if (seconds < 1) return "just now";
    if (seconds < 120) return `${seconds} s ago`;
    if (seconds < 7200) return `${Math.floor(seconds / 60)} min ago`;
    if (seconds < 172800) return `${Math.floor(seconds / 3600)} h ago`;
    return `${Math.floor(seconds / 86400)} days ago`;
  }

  const prefix = () => JSON.parse(document.getElementById("_dash-config").textContent).requests_pathname_prefix;
  const setProps = (id, props) => window.dash_clientside.set_props(id, props);
  const page = () => document.documentElement.dataset.page ?? "map";
  const byId = (id) => document.getElementById(id);
  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const calm = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

  return { on, tell, element, list, seldom, clock, localClock, ago, prefix, setProps, page, byId, css, calm };
})();
