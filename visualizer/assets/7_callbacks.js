/* What Dash calls in the browser; the names stand in callbacks.py. */
"use strict";
(() => {
  const hw = window.headwater;
  const { filter } = hw.frames;
  const PAGES = { "/": "map", "/stages": "stages", "/devices": "devices" };
  let begun = false;
  let asked = 0;

  function begin() {
    if (begun) return;
    begun = true;
    hw.panel.begin();
    hw.live.connect();
  }

  function show_page(path) {
    const rest = `/${(path ?? "/").slice(hw.prefix().length)}`.replace(/\/$/, "") || "/";
    const page = PAGES[rest] ?? "map";
    document.documentElement.dataset.page = page;
    document.querySelectorAll("nav a").forEach((link) => {
      const current = link.classList.contains(`tab-${page}`);
      if (current) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    });
    begin();
    hw.live.nudge();
    dispatchEvent(new Event("resize"));
  }

  function timeInputs(time) {
    const box = hw.byId("time-inputs");
    box.hidden = time !== "custom";
    if (box.hidden || box.children.length) return;
    for (const [name, text] of [["from", "from (UTC)"], ["to", "to"]]) {
      const input = hw.element("input", { type: "datetime-local", step: "1", id: `time-${name}` });
      input.addEventListener("change", () => hw.setProps("time-bounds", { data: bounds() }));
      box.append(hw.element("label", {}, text, input));
    }
  }

  const moment = (id) => Date.parse(`${hw.byId(id)?.value ?? ""}Z`);
  const bounds = () => ({ from_ms: moment("time-from") || 0, to_ms: moment("time-to") || null });

  function filterNow(devices, task, time, limits) {
    filter.devices = devices?.length ? new Set(devices) : null;
    if (task && task !== filter.task) {
      filter.task = task;
      filter.hidden.clear();
    }
    filter.time = time ?? "all";
    filter.from_ms = limits?.from_ms ?? 0;
    filter.to_ms = limits?.to_ms ?? Infinity;
    timeInputs(filter.time);
    askPast();
    hw.tell("redraw");
  }

  /* Older frames than the live ones come from the store, asked for when a filter reaches back to them. */
  function askPast() {
    asked += 1;
    hw.frames.forgetPast();
    const note = hw.byId("time-note");
    note.textContent = "";
    if (!hw.frames.reachesBeyond()) return;
    note.textContent = "reading older frames…";
    const [from, to] = hw.frames.span();
    const wanted = { from_ms: Math.round(Math.max(0, from)), to_ms: Math.round(Math.min(Date.now(), to)) };
    hw.setProps("archive-wanted", { data: { ...wanted, token: asked } });
  }

  hw.on("reset", askPast);

  function archive(answer) {
    if (!answer || answer.token !== asked) return;
    const note = hw.byId("time-note");
    note.textContent = answer.away ? "older frames: the store is away" : answer.thinned ? "older frames are thinned out" : "";
    hw.frames.takePast(answer.rows);
  }

  function select(chosen) {
    hw.map.mark(chosen);
    hw.live.watch(chosen?.id ?? null);
    hw.panel.lists();
    if (chosen && matchMedia("(max-width: 800px)").matches) showDetails();
  }

  /* On a phone the details lie below the map: go there once they have come. */
  function showDetails() {
    const box = hw.byId("details");
    const watcher = new MutationObserver(() => {
      watcher.disconnect();
      box.scrollIntoView({ block: "start", behavior: hw.calm() ? "auto" : "smooth" });
    });
    watcher.observe(box, { childList: true });
  }

  /* Carry over what people did to a figure, at the very moment the new one comes: plotly.js 4.1 forgets a zoom made with
     the mouse in spite of `uirevision`. A figure under the mouse is left alone until the next one. */
  function keepView(id, figure) {
    const old = document.querySelector(`#${id} .js-plotly-plot`);
    if (!old?._fullLayout || old._fullLayout.uirevision !== figure.layout.uirevision) return figure;
    if (old._dragging) return window.dash_clientside.no_update;
    for (const axis of ["xaxis", "yaxis"]) {
      const { autorange, range } = old._fullLayout[axis] ?? {};
      if (autorange === false && range) Object.assign(figure.layout[axis], { autorange: false, range: [...range] });
    }
    const hidden = new Set(old.data.filter((trace) => trace.visible === "legendonly").map((trace) => trace.name));
    figure.data.forEach((trace) => { if (hidden.has(trace.name)) trace.visible = "legendonly"; });
    if (old._fullLayout.dragmode) figure.layout.dragmode = old._fullLayout.dragmode;
    return figure;
  }

  const draw_stages = ([bars, percentiles]) => [
    keepView("stages-bars", bars),
    keepView("stages-percentiles", percentiles),
  ];

  const quiet = (work) => (...given) => {
    work(...given);
    return window.dash_clientside.no_update;
  };
  window.dash_clientside ??= {};
  window.dash_clientside.headwater = {
    show_page: quiet(show_page),
    filter: quiet(filterNow),
    follow: quiet((value) => hw.map.setFollow(Boolean(value?.length))),
    select: quiet(select),
    archive: quiet(archive),
    draw_stages,
  };
})();
