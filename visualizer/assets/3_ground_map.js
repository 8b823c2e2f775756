/* What lies under the points: street tiles where there is internet, else outlines, a grid and its degrees. */
"use strict";
(() => {
  const hw = window.headwater;
  const STEPS = [30, 20, 10, 5, 2, 1, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001, 0.0005, 0.0002, 0.0001];
  const RETRIES_MS = [60e3, 300e3, 1800e3];
  const PROBE_MS = 5000;
  const OSM = '<a href="https://www.openstreetmap.org/copyright" target="_blank" rel="noopener">© OpenStreetMap contributors</a>';
  const state = { map: null, tiles: null, outlines: null, grid: null, tries: 0, failures: 0, labels: [] };

  function begin(map) {
    state.map = map;
    map.attributionControl.setPrefix("");
    for (const [name, level] of [["ground", 210], ["grid", 220]]) {
      map.createPane(name).style.zIndex = level;
      map.getPane(name).style.pointerEvents = "none";
    }
    state.grid = L.layerGroup().addTo(map);
    map.on("moveend resize", drawGrid);
    fetch(`${hw.prefix()}assets/outlines.json`).then((answer) => answer.json()).then(addOutlines);
    seekTiles();
    addEventListener("online", seekTiles);
    hw.on("theme", dress);
  }

  function addOutlines(data) {
    const renderer = L.canvas({ pane: "ground", padding: 0.3 });
    const options = { pane: "ground", renderer, interactive: false, smoothFactor: 0.7 };
    state.outlines = L.geoJSON(data, { ...options, attribution: "Outlines: Natural Earth" });
    dress();
    if (!state.tiles) state.outlines.addTo(state.map);
  }

  function dress() {
    state.outlines?.setStyle((feature) => ({
      weight: feature.properties.kind === "land" ? 1 : 0.7,
      color: hw.css(feature.properties.kind === "land" ? "--coast" : "--border-line"),
      fill: feature.properties.kind === "land",
      fillColor: hw.css("--land"),
      fillOpacity: 1,
    }));
    drawGrid();
  }

  /* Decide whether tiles can be had by asking for one; when not, ask again later and ever more seldom. */
  function seekTiles() {
    const address = document.querySelector('meta[name="headwater-tiles"]')?.content;
    if (!address || state.tiles || state.probing) return;
    if (!navigator.onLine) return;
    const probe = new Image();
    state.probing = setTimeout(() => answered(false), PROBE_MS);
    const answered = (there) => {
      if (!state.probing) return;
      clearTimeout(state.probing);
      state.probing = null;
      probe.onload = probe.onerror = null;
      if (there) showTiles(address);
      else setTimeout(seekTiles, RETRIES_MS[Math.min(state.tries++, RETRIES_MS.length - 1)]);
    };
    probe.onload = () => answered(true);
    probe.onerror = () => answered(false);
    probe.src = L.Util.template(address, { s: "a", z: 0, x: 0, y: 0, r: "" });
  }

  function showTiles(address) {
    state.tries = state.failures = 0;
    const attribution = address.includes("openstreetmap.org") ? OSM : "";
    state.tiles = L.tileLayer(address, { maxZoom: 19, attribution, className: "street-tiles" });
    state.tiles.on("tileload", () => { state.failures = 0; });
    state.tiles.on("tileerror", () => { if (++state.failures >= 4) dropTiles(); });
    state.tiles.addTo(state.map);
    state.outlines?.remove();
    drawGrid();
    hw.tell("tiles", true);
  }

  function dropTiles() {
    state.tiles?.remove();
    state.tiles = null;
    state.outlines?.addTo(state.map);
    drawGrid();
    hw.tell("tiles", false);
    setTimeout(seekTiles, RETRIES_MS[0]);
  }

  function drawGrid() {
    if (!state.grid) return;
    state.grid.clearLayers();
    if (state.tiles || !state.map._loaded) return;
    const view = state.map.getBounds();
    const size = state.map.getSize();
    if (!size.x || !size.y) return;
    const step = STEPS.findLast((one) => (view.getEast() - view.getWest()) / one <= Math.max(3, size.x / 62)) ?? 30;
    const digits = Math.max(0, Math.ceil(-Math.log10(step) - 1e-9));
    const around = view.pad(0.5);
    for (const x of steps(around.getWest(), around.getEast(), step)) {
      line([[Math.max(-85, around.getSouth()), x], [Math.min(85, around.getNorth()), x]]);
      const east = ((x + 540) % 360) - 180;
      label([view.getNorth(), x], `${Math.abs(east).toFixed(digits)}°${east < 0 ? "W" : "E"}`, "top");
    }
    for (const y of steps(Math.max(-85, around.getSouth()), Math.min(85, around.getNorth()), step)) {
      line([[y, around.getWest()], [y, around.getEast()]]);
      label([y, view.getWest()], `${Math.abs(y).toFixed(digits)}°${y < 0 ? "S" : "N"}`, "left");
    }
  }

  function* steps(from, to, step) {
    for (let n = Math.ceil(from / step); n * step <= to && n - from / step < 200; n++) yield n * step;
  }

  function line(points) {
    const renderer = (state.gridRenderer ??= L.svg({ pane: "grid", padding: 0.3 }));
    const options = { pane: "grid", renderer, interactive: false, className: "grid-line", weight: 1 };
    L.polyline(points, options).addTo(state.grid);
  }

  function label(place, text, side) {
    const { x, y } = state.map.latLngToContainerPoint(place);
    const size = state.map.getSize();
    const clear = side === "top" ? x > 84 && x < size.x - 84 : y > 40 && y < size.y - 44;
    if (!clear) return;
    const html = hw.element("span", {}, text);
    const icon = L.divIcon({ className: `grid-label grid-label-${side}`, html, iconSize: null });
    L.marker(place, { icon, pane: "grid", interactive: false, keyboard: false }).addTo(state.grid);
  }

  hw.on("map", begin);
  hw.ground = state;
})();
