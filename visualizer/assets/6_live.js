/* The connection to the site: news comes over one websocket, which comes back by itself and only asks for what is new. */
"use strict";
(() => {
  const hw = window.headwater;
  const LONGEST_PAUSE_MS = 10000;
  const state = { socket: null, run: null, serial: null, pause_ms: 500, version: 0, statuses: 0, messages: 0, bytes: 0 };
  let retry = null;

  function connect() {
    clearTimeout(retry);
    const query = state.run ? `?run=${encodeURIComponent(state.run)}&after=${state.serial ?? ""}` : "";
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const socket = new WebSocket(`${scheme}://${location.host}${hw.prefix()}live${query}`);
    state.socket = socket;
    socket.onmessage = (event) => {
      state.pause_ms = 500;
      state.messages += 1;
      state.bytes += event.data.length;
      take(JSON.parse(event.data));
    };
    socket.onopen = () => {
      hw.panel.lamp("site", { there: true });
      if (hw.map.selected) watch(hw.map.selected);
    };
    socket.onclose = lost;
  }

  function lost() {
    hw.panel.lamp("site", { there: false, since_ms: (state.since_ms ??= Date.now()) });
    retry = setTimeout(connect, state.pause_ms * (0.75 + Math.random() / 2));
    state.pause_ms = Math.min(LONGEST_PAUSE_MS, 2 * state.pause_ms);
    hw.panel.visitor();
  }

  function take(news) {
    state.since_ms = undefined;
    if (news.run) state.run = news.run;
    if (news.serial !== undefined) state.serial = news.serial;
    hw.frames.take(news);
    if (news.header) hw.panel.header(news.header);
    if (news.version !== undefined) state.version = news.version;
    if (news.statuses !== undefined) state.statuses = news.statuses;
    if (news.journey) hw.setProps("journey-seen", { data: news.journey });
    nudge();
  }

  /* Have the visible page's figures made again, at most once a second and only when something is new. */
  const told = {};
  const nudge = hw.seldom(1000, () => {
    const page = hw.page();
    const news = { stages: state.version, devices: `${state.version} ${state.statuses}` }[page];
    if (news === undefined || told[page] === news || document.hidden) return;
    told[page] = news;
    hw.setProps(`${page}-tick`, { data: news });
  });

  function watch(id) {
    if (state.socket?.readyState === WebSocket.OPEN) state.socket.send(id ?? "");
  }

  document.addEventListener("visibilitychange", () => {
    if (document.hidden) return;
    if (state.socket?.readyState === WebSocket.CLOSED) connect();
    nudge();
  });
  hw.live = Object.assign(state, { connect, watch, nudge });
})();
