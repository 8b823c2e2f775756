/* The points: one canvas, one marker per frame; news is added, nothing is built again unless a filter changes. */
"use strict";
(() => {
  const hw = window.headwater;
  const { frames } = hw;
  const PULSE_EVERY_MS = 700;
  const GAP_MS = 600e3;
  const markers = new Map();
  const tracks = new Map();
  const state = { map: null, points: null, renderer: null, ring: null, fitted: false, follow: false, drawn: new Map() };

  function begin(map) {
    state.map = map;
    map.on("zoomend", resize);
    map.createPane("tracks").style.zIndex = 390;
    map.getPane("tracks").style.pointerEvents = "none";
    state.renderer = L.canvas({ padding: 0.3, tolerance: 4 });
    state.trackRenderer = L.canvas({ pane: "tracks", padding: 0.3 });
    state.points = L.layerGroup().addTo(map);
    state.lines = L.layerGroup().addTo(map);
    new ResizeObserver(() => map.invalidateSize({ pan: false })).observe(map.getContainer());
    redraw();
  }

  function tip(frame) {
    const said = frames.outcome(frame);
    const word = said ? said.label ?? (said.value === null ? "" : said.value.toPrecision(4)) : "";
    const lines = [frame.name ?? frame.id, `${word}${said?.confidence ? ` ${(100 * said.confidence).toFixed(0)} %` : ""}`];
    lines.push(`${frame.device} ${hw.clock(frame.t)} UTC${frame.source === "made-up" ? ", made-up position" : ""}`);
    return hw.element("div", { class: "tip" }, ...lines.map((text) => hw.element("div", {}, text)));
  }

  function add(frame) {
    if (!frame.placed || markers.has(frame.id)) return;
    const marker = hw.points.marker(frame, state.renderer);
    marker.on("click", () => select(frame));
    marker.on("mouseover", () => marker.bindTooltip(tip(frame), { direction: "top", offset: [0, -6] }).openTooltip());
    marker.on("mouseout", () => marker.unbindTooltip());
    markers.set(frame.id, marker);
    state.points.addLayer(marker);
    state.drawn.set(frame.id, Date.now());
    if (state.drawn.size > 2000) state.drawn.delete(state.drawn.keys().next().value);
  }

  function drop(id) {
    const marker = markers.get(id);
    if (!marker) return;
    markers.delete(id);
    state.points.removeLayer(marker);
  }

  function redraw() {
    if (!state.map) return;
    const limits = frames.span();
    state.points.clearLayers();
    markers.clear();
    for (const frame of frames.all()) if (frames.shown(frame, limits)) add(frame);
    retrack(null);
    fitOnce();
    hw.tell("drawn");
  }

  function news({ added, removed, reset }) {
    if (!state.map || reset) return;
    const limits = frames.span();
    removed.forEach((id) => frames.past.has(id) || drop(id));
    const fresh = added.filter((frame) => frames.shown(frame, limits));
    fresh.forEach(add);
    const placed = fresh.filter((frame) => frame.placed);
    retrack(new Set(added.map((frame) => frame.device)));
    if (placed.length) pulse(placed[placed.length - 1]);
    fitOnce();
    if (state.follow && placed.length) chase(placed[placed.length - 1]);
    hw.tell("drawn");
  }

  /* Draw each device's way, in the order of capture; null: all devices. */
  function retrack(devices) {
    const ways = new Map();
    const limits = frames.span();
    for (const frame of frames.live.values()) {
      if (!frame.placed || (devices && !devices.has(frame.device)) || !frames.passes(frame, limits)) continue;
      if (!ways.has(frame.device)) ways.set(frame.device, []);
      ways.get(frame.device).push(frame);
    }
    for (const device of devices ?? new Set([...tracks.keys(), ...ways.keys()])) drawTrack(device, ways.get(device) ?? []);
  }

  /* The frame's device and boot: a device that started again may have been carried elsewhere. */
  const run = (frame) => frame.id.slice(0, frame.id.lastIndexOf("-"));

  function drawTrack(device, way) {
    way.sort((a, b) => a.t - b.t);
    const pieces = [];
    way.forEach((frame, n) => {
      const before = way[n - 1];
      if (!n || frame.t - before.t > GAP_MS || run(frame) !== run(before)) pieces.push([]);
      pieces[pieces.length - 1].push([frame.lat, frame.lon]);
    });
    if (!tracks.has(device)) {
      const options = { pane: "tracks", renderer: state.trackRenderer, interactive: false, weight: 2, opacity: 0.55 };
      tracks.set(device, L.polyline([], { ...options, color: hw.css("--track") }).addTo(state.lines));
    }
    tracks.get(device).setLatLngs(pieces);
  }

  function pulse(frame) {
    const now = performance.now();
    if (hw.calm() || document.hidden || now < (state.pulsed ?? 0) + PULSE_EVERY_MS) return;
    state.pulsed = now;
    const icon = L.divIcon({ className: "pulse", html: hw.element("i"), iconSize: [0, 0] });
    icon.options.html.style.borderColor = frames.colour(frame);
    const ring = L.marker([frame.lat, frame.lon], { icon, interactive: false, keyboard: false }).addTo(state.map);
    setTimeout(() => ring.remove(), 1500);
  }

  function fit() {
    const places = [...markers.values()].map((marker) => marker.getLatLng());
    if (places.length) state.map.fitBounds(L.latLngBounds(places), { padding: [48, 48], maxZoom: 17, animate: false });
  }

  /* Fit the view to the points once; from then on it moves only when somebody wants it to. */
  function fitOnce() {
    const visible = state.map.getSize().x > 0;
    if (state.fitted || !markers.size || !visible) return;
    state.fitted = true;
    fit();
  }

  let target = null;
  const pan = hw.seldom(1000, () => target && state.map.panTo(target, { animate: !hw.calm(), duration: 0.6 }));
  function chase(frame) {
    target = [frame.lat, frame.lon];
    pan();
  }

  const select = (frame) => hw.setProps("selected", { data: frame ? { id: frame.id, entry: frame.entry } : null });

  function mark(chosen) {
    state.ring?.remove();
    state.ring = null;
    state.selected = chosen?.id ?? null;
    const frame = chosen && frames.find(chosen.id);
    if (!state.map || !frame?.placed) return;
    const icon = L.divIcon({ className: "chosen", html: hw.element("i"), iconSize: [0, 0] });
    state.ring = L.marker([frame.lat, frame.lon], { icon, interactive: false, keyboard: false }).addTo(state.map);
    if (!state.map.getBounds().contains([frame.lat, frame.lon])) state.map.panTo([frame.lat, frame.lon]);
  }

  function resize() {
    if (hw.points.setZoom(state.map.getZoom())) for (const marker of markers.values()) marker.setRadius(hw.points.radius());
  }

  function recolour() {
    hw.points.forget();
    for (const marker of markers.values()) marker.redraw();
    tracks.forEach((track) => track.setStyle({ color: hw.css("--track") }));
  }

  function setFollow(wanted) {
    state.follow = wanted;
    if (wanted) {
      const newest = [...frames.live.values()].findLast((frame) => frame.placed && frames.shown(frame));
      if (newest && state.map) chase(newest);
    }
  }

  if (window.L) L.Map.addInitHook(function ready() { setTimeout(() => hw.tell("map", this)); });
  hw.on("map", begin);
  hw.on("redraw", redraw);
  hw.on("frames", news);
  hw.on("theme", recolour);
  setInterval(() => document.hidden || ["all", "custom"].includes(frames.filter.time) || expire(), 5000);
  function expire() {
    const limits = frames.span();
    for (const id of [...markers.keys()]) if (!frames.shown(frames.find(id), limits)) drop(id);
    frames.prune();
    retrack(null);
    hw.tell("drawn");
  }
  Object.assign(state, { markers, tracks, redraw, fit, fitOnce, select, mark, setFollow });
  hw.map = state;
})();
