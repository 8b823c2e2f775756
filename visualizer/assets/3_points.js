/* One point of the map: a picture drawn once per colour and copied thousands of times, which canvas does fastest. */
"use strict";
(() => {
  const hw = window.headwater;
  const SHARP = 2;
  const MARGIN = 3;
  const sprites = new Map();
  const state = { radius: 4, edge: "", card: "" };

  /* Smaller from afar, so that a dense way still shows its colours. */
  function setZoom(zoom) {
    const wanted = Math.max(3.5, Math.min(7, zoom - 9));
    const changed = wanted !== state.radius;
    state.radius = wanted;
    return changed;
  }

  function sprite(colour, guess) {
    const name = `${colour} ${guess} ${state.radius}`;
    if (!sprites.has(name)) sprites.set(name, drawSprite(colour, guess));
    return sprites.get(name);
  }

  function drawSprite(colour, guess) {
    const half = state.radius + MARGIN;
    const canvas = hw.element("canvas", { width: 2 * SHARP * half, height: 2 * SHARP * half });
    const pen = canvas.getContext("2d");
    pen.scale(SHARP, SHARP);
    pen.arc(half, half, state.radius, 0, 2 * Math.PI);
    pen.globalAlpha = 0.92;
    pen.fillStyle = guess ? hw.css("--card") : colour;
    pen.fill();
    pen.globalAlpha = guess ? 1 : 0.6;
    pen.strokeStyle = guess ? colour : hw.css("--point-edge");
    pen.lineWidth = guess ? 2.5 : 1;
    pen.setLineDash(guess ? [4, 3] : []);
    pen.stroke();
    return canvas;
  }

  const Point = window.L?.CircleMarker.extend({
    _updatePath() {
      const renderer = this._renderer;
      if (!renderer._drawing || this._empty()) return;
      const half = this._radius + MARGIN;
      const { colour, guess } = this.options.look();
      renderer._ctx.drawImage(sprite(colour, guess), this._point.x - half, this._point.y - half, 2 * half, 2 * half);
    },
  });

  function marker(frame, renderer) {
    const look = () => ({ colour: hw.frames.colour(frame), guess: frame.source === "made-up" });
    return new Point([frame.lat, frame.lon], { renderer, radius: state.radius, weight: 2, look });
  }

  hw.points = { marker, setZoom, radius: () => state.radius, forget: () => sprites.clear() };
})();
