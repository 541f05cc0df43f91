/** The part of the time that is seen. Milliseconds since the epoch. */
export interface Window {
  from: number;
  to: number;
}

const SHORTEST_MS = 0.01;

/** The window `factor` times as long (under 1: closer), with the time at `focus` (0 to 1) where it is; never beyond `whole`. */
export function zoomed(window: Window, whole: Window, factor: number, focus = 0.5): Window {
  const length = Math.max(SHORTEST_MS, (window.to - window.from) * factor);
  const at = window.from + (window.to - window.from) * focus;
  return within({ from: at - length * focus, to: at + length * (1 - focus) }, whole);
}

/** The window moved by `share` of its length; never beyond `whole`. */
export function moved(window: Window, whole: Window, share: number): Window {
  const by = (window.to - window.from) * share;
  return within({ from: window.from + by, to: window.to + by }, whole);
}

/** The window, moved so that `time` is in it where it was not. */
export function revealing(window: Window, whole: Window, time: number): Window {
  if (time >= window.from && time <= window.to) return window;
  const length = window.to - window.from;
  return within({ from: time - length * 0.1, to: time + length * 0.9 }, whole);
}

/** A window around a bar, with room on both sides. */
export function around(from: number, to: number, whole: Window): Window {
  const room = Math.max((to - from) * 0.25, SHORTEST_MS);
  return within({ from: from - room, to: to + room }, whole);
}

function within(window: Window, whole: Window): Window {
  const length = Math.min(window.to - window.from, whole.to - whole.from);
  const from = Math.min(Math.max(window.from, whole.from), whole.to - length);
  return { from, to: from + length };
}

/** Where the ruler has its marks: at most `most` round numbers of milliseconds after `origin`. */
export function ticks(window: Window, origin: number, most: number): number[] {
  const length = window.to - window.from;
  if (!(length > 0) || most < 1) return [];
  const least = length / most;
  const step = roundStep(least);
  const first = Math.ceil((window.from - origin) / step);
  const last = Math.floor((window.to - origin) / step);
  return Array.from({ length: Math.max(0, last - first + 1) }, (_, at) => (first + at) * step);
}

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
/** From a second on time is not counted in tens. */
const LONG_STEPS = [
  ...[1, 2, 5, 10, 15, 30].map((each) => each * SECOND),
  ...[1, 2, 5, 10, 15, 30].map((each) => each * MINUTE),
  ...[1, 2, 3, 6, 12, 24].map((each) => each * HOUR),
];

/** The shortest round time that is no shorter than `least`. */
function roundStep(least: number): number {
  const long = least > SECOND / 2 ? LONG_STEPS.find((each) => each >= least) : undefined;
  if (long !== undefined) return long;
  const unit = least > 24 * HOUR ? 24 * HOUR : 1;
  const power = unit * 10 ** Math.floor(Math.log10(least / unit));
  return [1, 2, 5, 10].map((each) => each * power).find((each) => each >= least) ?? least;
}

/** "250 ms", "1.5 s", "2 m", as exact as the distance of two marks wants it. */
export function tickLabel(ms: number, step: number): string {
  if (ms === 0) return "0";
  const size = Math.abs(ms);
  if (size < 1000) return `${fixed(ms, step)} ms`;
  if (size < 120_000) return `${fixed(ms / 1000, step / 1000)} s`;
  return size < 7_200_000
    ? `${fixed(ms / 60_000, step / 60_000)} m`
    : `${fixed(ms / 3_600_000, step / 3_600_000)} h`;
}

function fixed(value: number, step: number): string {
  const digits = Math.min(6, Math.max(0, -Math.floor(Math.log10(step) + 1e-9)));
  return value.toFixed(digits);
}
