// Frames per second and latency of the last minute, as they come.

import { on } from "./session.js";

const KEPT = 120; // two a second
const history = [];

export function makePlot(canvas) {
  const pen = canvas.getContext("2d");
  const write = (name, text) => { document.getElementById(name).textContent = text; };
  on("figures", (figures) => {
    history.push(figures);
    if (history.length > KEPT) history.shift();
    write("fps", figures.fps.toFixed(0));
    write("late", figures.latency_p50.toFixed(0));
    write("plot-fps", figures.fps.toFixed(1));
    write("plot-p50", `${figures.latency_p50.toFixed(0)} ms`);
    write("plot-p95", `${figures.latency_p95.toFixed(0)} ms`);
    write("plot-dropped", `${figures.dropped} of ${figures.dropped + figures.delivered}`);
    draw(canvas, pen);
  });
  new ResizeObserver(() => draw(canvas, pen)).observe(canvas);
}

function draw(canvas, pen) {
  const scale = devicePixelRatio, width = canvas.clientWidth, height = canvas.clientHeight;
  if (!width) return;
  canvas.width = width * scale;
  canvas.height = height * scale;
  pen.setTransform(scale, 0, 0, scale, 0, 0);
  // light-dark() is resolved only in real properties, so colours are read off an element that uses them
  const paint = { line: resolved("--line"), soft: resolved("--soft"), fps: resolved("--green"), late: resolved("--accent") };
  const topFps = nice(Math.max(30, ...history.map((one) => one.fps)));
  const topMs = nice(Math.max(40, ...history.map((one) => one.latency_p95)));
  const left = 26, right = width - 54, top = 10, bottom = height - 8;
  const x = (i) => right - ((history.length - 1 - i) / (KEPT - 1)) * (right - left);
  const y = (value, most) => bottom - (value / most) * (bottom - top);
  pen.font = `11px ${getComputedStyle(canvas).fontFamily}`;
  pen.textBaseline = "middle";
  for (const part of [0, 0.5, 1]) {
    const level = bottom - part * (bottom - top);
    pen.strokeStyle = paint.line;
    pen.lineWidth = 1;
    pen.beginPath();
    pen.moveTo(left, Math.round(level) + 0.5);
    pen.lineTo(right, Math.round(level) + 0.5);
    pen.stroke();
    pen.textAlign = "right";
    pen.fillStyle = paint.fps;
    pen.fillText(String(topFps * part), left - 6, level);
    pen.textAlign = "left";
    pen.fillStyle = paint.late;
    pen.fillText(`${topMs * part}${part === 1 ? " ms" : ""}`, right + 6, level);
  }
  if (history.length < 2) return;
  pen.globalAlpha = 0.22;
  pen.fillStyle = paint.late;
  pen.beginPath();
  history.forEach((one, i) => pen.lineTo(x(i), y(one.latency_p95, topMs)));
  for (let i = history.length - 1; i >= 0; i -= 1) pen.lineTo(x(i), y(history[i].latency_p50, topMs));
  pen.fill();
  pen.globalAlpha = 1;
  stroke(pen, paint.late, history.map((one, i) => [x(i), y(one.latency_p50, topMs)]));
  stroke(pen, paint.fps, history.map((one, i) => [x(i), y(one.fps, topFps)]));
}

function stroke(pen, colour, points) {
  pen.strokeStyle = colour;
  pen.lineWidth = 2;
  pen.lineJoin = "round";
  pen.beginPath();
  for (const [x, y] of points) pen.lineTo(x, y);
  pen.stroke();
}

const probe = document.createElement("span");

function resolved(name) {
  if (!probe.isConnected) { probe.hidden = true; document.body.append(probe); }
  probe.style.color = `var(${name})`;
  return getComputedStyle(probe).color;
}

/** The next round number. */
function nice(value) {
  const size = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 4, 6, 8, 10].map((part) => part * size).find((round) => round >= value);
}
