/* The frames this browser knows, and which of them the filters let through. */
"use strict";
(() => {
  const hw = window.headwater;
  const live = new Map();
  const past = new Map();
  const filter = { devices: null, task: null, hidden: new Set(), time: "all", from_ms: 0, to_ms: Infinity };
  const known = { capacity: 5000, tasks: [], unplaced: 0, devices: new Set(), archived: 0 };

  function named(row) {
    const [entry, id, device, t, lat, lon, source, name, predictions] = row;
    return { entry, id, device, t, lat, lon, source, name, predictions, placed: lat !== null && lon !== null };
  }

  function outcome(frame) {
    const found = frame.predictions.find((prediction) => prediction[0] === filter.task);
    return found ? { label: found[1], value: found[2], confidence: found[3] } : null;
  }

  function colour(frame) {
    const task = known.tasks.find((one) => one.task === filter.task);
    const said = outcome(frame);
    if (!task || !said) return NOTHING;
    if (task.labels) return (task.labels.find(([label]) => label === said.label) ?? [null, NOTHING])[1];
    if (said.value === null) return NOTHING;
    return viridis(task.high > task.low ? (said.value - task.low) / (task.high - task.low) : 0.5);
  }

  function span() {
    const now = Date.now();
    if (filter.time === "all") return [-Infinity, Infinity];
    if (filter.time === "custom") return [filter.from_ms, filter.to_ms];
    return [now - 1000 * Number(filter.time), Infinity];
  }

  function passes(frame, [from, to] = span()) {
    if (frame.t < from || frame.t > to) return false;
    return filter.devices === null || filter.devices.has(frame.device);
  }

  function classShown(frame) {
    const said = outcome(frame);
    return !(said && filter.hidden.has(said.label));
  }

  const shown = (frame, limits) => passes(frame, limits) && classShown(frame);

  /* Every known frame once, oldest first. */
  function* all() {
    for (const frame of past.values()) if (!live.has(frame.id)) yield frame;
    yield* live.values();
  }

  function learnTasks(tasks) {
    known.tasks = tasks;
    if (!tasks.some((one) => one.task === filter.task)) filter.task = tasks[0]?.task ?? null;
    hw.tell("tasks", tasks);
  }

  function take(news) {
    if (news.capacity) known.capacity = news.capacity;
    if (news.reset) live.clear();
    if (news.tasks) learnTasks(news.tasks);
    const added = (news.rows ?? []).map(named);
    added.forEach((frame) => {
      live.set(frame.id, frame);
      known.devices.add(frame.device);
    });
    const removed = age();
    if (news.reset) hw.tell("reset");
    if (news.reset || news.tasks) hw.tell("redraw");
    if (added.length || removed.length) hw.tell("frames", { added, removed, reset: Boolean(news.reset) });
  }

  /* Bound the live frames; those that a time filter still wants become past ones. Return the ids that are gone for good. */
  function age() {
    const limits = span();
    const removed = [];
    for (const [id, frame] of live) {
      if (live.size <= known.capacity) break;
      live.delete(id);
      past.delete(id);
      if (filter.time !== "all" && passes(frame, limits)) past.set(id, frame);
      else removed.push(id);
    }
    const most = Math.max(2 * known.capacity, known.archived);
    for (const id of past.keys()) {
      if (past.size <= most) break;
      past.delete(id);
      if (!live.has(id)) removed.push(id);
    }
    return removed;
  }

  /* Put the store's frames before those that became past while it was asked. */
  function takePast(rows) {
    const aged = [...past.values()];
    past.clear();
    known.archived = rows.length;
    for (const frame of rows.map(named).concat(aged)) {
      past.set(frame.id, frame);
      known.devices.add(frame.device);
    }
    hw.tell("redraw");
  }

  function forgetPast() {
    past.clear();
    known.archived = 0;
  }

  /* Forget the past frames that the filter's time has left behind. */
  function prune() {
    const limits = span();
    for (const [id, frame] of past) if (!passes(frame, limits)) past.delete(id);
  }

  /* Tell whether the live frames may not reach back to the start of the filter's time. */
  function reachesBeyond() {
    if (filter.time === "all" || live.size < known.capacity) return false;
    return live.values().next().value.t > span()[0];
  }

  const VIRIDIS = [[68, 1, 84], [59, 82, 139], [33, 145, 140], [94, 201, 98], [253, 231, 37]];
  const NOTHING = "#8d939c";
  function viridis(share) {
    const place = Math.min(1, Math.max(0, share)) * (VIRIDIS.length - 1);
    const low = Math.min(VIRIDIS.length - 2, Math.floor(place));
    const mix = VIRIDIS[low].map((part, n) => Math.round(part + (VIRIDIS[low + 1][n] - part) * (place - low)));
    return `rgb(${mix.join(",")})`;
  }

  const find = (id) => live.get(id) ?? past.get(id);
  const get = { all, find, shown, passes, span, outcome, colour, viridis, reachesBeyond };
  hw.frames = { live, past, filter, known, take, takePast, forgetPast, prune, ...get };
})();
