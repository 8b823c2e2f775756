/* Legend, lists, header, theme and times: what is text around the map. */
"use strict";
(() => {
  const hw = window.headwater;
  const { frames, element, byId } = hw;
  const MOST_NEWEST = 30;
  const MOST_UNPLACED = 50;

  function legend() {
    const box = byId("legend");
    const task = frames.known.tasks.find((one) => one.task === frames.filter.task);
    if (!box) return;
    const counts = new Map();
    let guesses = 0;
    const limits = frames.span();
    for (const frame of frames.all()) {
      if (!frames.passes(frame, limits)) continue;
      const label = frames.outcome(frame)?.label ?? null;
      counts.set(label, (counts.get(label) ?? 0) + 1);
      guesses += frame.source === "made-up";
    }
    const items = (task?.labels ?? []).map(([label, colour]) => ({ key: `label ${label}`, label, colour }));
    if (task && !task.labels) items.push({ key: `scale ${task.low} ${task.high}`, task });
    if (guesses) items.push({ key: "guess" });
    hw.list(box, items, (item) => item.key, legendItem);
    for (const node of box.children) {
      const label = node.dataset.label;
      if (label === undefined) continue;
      node.lastChild.textContent = (counts.get(label) ?? 0).toLocaleString("en");
      node.setAttribute("aria-pressed", String(!frames.filter.hidden.has(label)));
    }
  }

  function legendItem(item) {
    if (item.key === "guess") return element("span", { class: "chip still" }, element("i", { class: "guess" }), "made-up position");
    if (item.task) return scale(item.task);
    const swatch = element("i", { style: { background: item.colour } });
    const chip = element("button", { class: "chip", type: "button" }, swatch, item.label, element("b"));
    chip.dataset.label = item.label;
    chip.addEventListener("click", () => {
      const { hidden } = frames.filter;
      if (!hidden.delete(item.label)) hidden.add(item.label);
      hw.tell("redraw");
    });
    return chip;
  }

  function scale(task) {
    const stops = [0, 0.25, 0.5, 0.75, 1].map(frames.viridis).join(",");
    const bar = element("i", { class: "scale", style: { background: `linear-gradient(90deg,${stops})` } });
    return element("span", { class: "chip still" }, task.low.toPrecision(3), bar, task.high.toPrecision(3));
  }

  function lists() {
    if (hw.page() !== "map" || !byId("list-newest")) return;
    const limits = frames.span();
    const known = [...frames.all()].filter((frame) => frames.shown(frame, limits));
    const unplaced = known.filter((frame) => !frame.placed);
    fill("list-newest", known.slice(-MOST_NEWEST).reverse());
    fill("list-unplaced", unplaced.slice(-MOST_UNPLACED).reverse());
    byId("unplaced-count").textContent = unplaced.length.toLocaleString("en");
    byId("shown-count").textContent = `${known.length.toLocaleString("en")} shown`;
    byId("list-unplaced").parentElement.hidden = !unplaced.length;
    byId("map-empty").hidden = frames.live.size > 0 || frames.past.size > 0 || !hw.panel.told;
  }

  function fill(id, wanted) {
    hw.list(byId(id), wanted, (frame) => frame.id, listItem);
    for (const node of byId(id).children) {
      node.setAttribute("aria-pressed", String(node.dataset.key === hw.map.selected));
      const frame = frames.find(node.dataset.key);
      node.firstChild.style.background = frames.colour(frame);
      node.querySelector(".word").textContent = word(frame);
    }
  }

  function word(frame) {
    const said = frames.outcome(frame);
    return said?.label ?? (Number.isFinite(said?.value) ? said.value.toPrecision(3) : "");
  }

  function listItem(frame) {
    return element(
      "button",
      { type: "button", onclick: () => hw.map.select(frames.find(frame.id) ?? frame) },
      element("i"),
      element("span", { class: "what" }, frame.name ?? frame.id),
      element("span", { class: "word" }),
      element("span", { class: "when" }, `${frame.device} ${hw.clock(frame.t)}`),
    );
  }

  function header(told) {
    hw.panel.told = true;
    byId("count-frames").textContent = told.frames.toLocaleString("en");
    byId("count-frames").parentElement.title = told.refused ? `${told.refused} entries of the store were refused` : "";
    const devices = told.broker ? `${told.online}/${told.devices}` : frames.known.devices.size;
    byId("count-devices").textContent = devices;
    byId("count-devices").parentElement.title = told.broker ? "online / known" : "seen in the store";
    lamp("store", told.store);
    lamp("broker", told.broker);
    lists();
  }

  function lamp(name, connection) {
    const node = byId(`lamp-${name}`);
    if (!node) return;
    node.hidden = !connection;
    if (!connection) return;
    node.classList.toggle("away", !connection.there);
    const since = hw.localClock(connection.since_ms);
    byId(`lamp-text-${name}`).textContent = connection.there ? name : `${name} away since ${since}`;
  }

  function options() {
    const devices = [...frames.known.devices].sort();
    const tasks = frames.known.tasks.map((one) => one.task);
    const key = JSON.stringify([devices, tasks]);
    if (key === hw.panel.options) return;
    hw.panel.options = key;
    hw.setProps("device-filter", { options: devices });
    hw.setProps("task-filter", { options: tasks, value: frames.filter.task });
    document.documentElement.classList.toggle("one-task", tasks.length < 2);
  }

  function times() {
    for (const node of document.querySelectorAll("[data-since-ms]")) {
      const text = hw.ago(Number(node.dataset.sinceMs));
      if (node.firstChild && node.firstChild.nodeValue !== text) node.firstChild.nodeValue = text;
    }
  }

  function dark() {
    const chosen = document.documentElement.dataset.theme;
    return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  }

  function theme(chosen) {
    if (chosen) document.documentElement.dataset.theme = chosen;
    const button = byId("theme");
    if (button) button.textContent = dark() ? "Light" : "Dark";
    hw.tell("theme");
  }

  /* Who looks, where the site asks for it. Whose session has ended is sent to the page that asks, by loading this one. */
  async function visitor() {
    if (!document.querySelector('meta[name="headwater-login"]')) return;
    const answer = await fetch(`${hw.prefix()}visitor`).catch(() => null);
    if (answer?.status === 401) location.reload();
    if (!answer?.ok) return;
    const { name, role } = await answer.json();
    document.documentElement.dataset.role = role;
    Object.assign(byId("visitor"), { textContent: name, title: `Signed in as ${role}; sign out`, hidden: false });
  }

  function begin() {
    theme(null);
    visitor();
    byId("theme").addEventListener("click", () => {
      const chosen = dark() ? "light" : "dark";
      localStorage.setItem("headwater-theme", chosen);
      theme(chosen);
    });
    byId("fit").addEventListener("click", () => hw.map.fit());
    byId("details").addEventListener("click", (event) => event.target.id === "close-details" && hw.map.select(null));
    document.addEventListener("keydown", (event) => event.key === "Escape" && hw.map.selected && hw.map.select(null));
    new MutationObserver(times).observe(byId("devices-list"), { childList: true, subtree: true, characterData: true });
    setInterval(() => document.hidden || hw.page() !== "devices" || times(), 1000);
    hw.on("drawn", hw.seldom(400, () => { legend(); lists(); options(); }));
  }

  const kept = localStorage.getItem("headwater-theme");
  if (kept === "dark" || kept === "light") document.documentElement.dataset.theme = kept;
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => theme(null));
  hw.panel = { begin, visitor, header, lamp, legend, lists, options: null, told: false };
})();
