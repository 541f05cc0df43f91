/** How figures are shown: short, in the reader's own language where it matters. */

const whole = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

/** 1234 → "1.2K". */
export function count(value: number | undefined): string {
  return value === undefined ? "" : whole.format(value);
}

/** US dollars: "$0.0067", "$12.30"; "" for none. */
export function dollars(value: number | undefined): string {
  if (value === undefined) return "";
  if (value === 0) return "$0";
  if (value < 0.0001) return "<$0.0001";
  const digits = value < 0.1 ? 4 : 2;
  return `$${value.toFixed(digits)}`;
}

/** Milliseconds: "340 ms", "1.2 s", "3 m 04 s", "2 h 10 m". */
export function duration(ms: number | undefined): string {
  if (ms === undefined || !Number.isFinite(ms)) return "";
  if (ms < 1) return "<1 ms";
  if (ms < 999.5) return `${Math.round(ms)} ms`;
  if (ms < 59_950) return `${(ms / 1000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1000);
  if (seconds < 3600) return `${Math.floor(seconds / 60)} m ${String(seconds % 60).padStart(2, "0")} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 48 * 60) return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, "0")} m`;
  return `${Math.round(minutes / 60 / 24)} days`;
}

/** Milliseconds since the epoch; undefined for what is no time. Nanoseconds are kept as a fraction. */
export function moment(time: string | undefined): number | undefined {
  if (time === undefined) return undefined;
  const parts = /^(.*T\d\d:\d\d:\d\d)(\.\d+)?(Z|[+-]\d\d:\d\d)$/.exec(time);
  const ms = parts === null ? Date.parse(time) : Date.parse(`${parts[1]}${parts[3]}`);
  if (Number.isNaN(ms)) return undefined;
  return ms + (parts?.[2] === undefined ? 0 : Number(`0${parts[2]}`) * 1000);
}

/** "just now", "5 m ago", "3 h ago", "2 days ago". */
export function ago(time: string | undefined, now: number): string {
  const then = moment(time);
  if (then === undefined) return "";
  const seconds = Math.max(0, (now - then) / 1000);
  if (seconds < 5) return "just now";
  if (seconds < 60) return `${Math.floor(seconds)} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} m ago`;
  if (seconds < 48 * 3600) return `${Math.floor(seconds / 3600)} h ago`;
  return `${Math.floor(seconds / 86_400)} days ago`;
}

const clockFormat = new Intl.DateTimeFormat(undefined, {
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  hour12: false,
});

/** "14:03:09.482" in the reader's own time zone. */
export function clock(time: string | undefined): string {
  const then = moment(time);
  if (then === undefined) return "";
  return `${clockFormat.format(then)}.${String(Math.floor(then % 1000)).padStart(3, "0")}`;
}

const dateFormat = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });

/** Date and time in the reader's own language and time zone. */
export function dateTime(time: string | undefined): string {
  const then = moment(time);
  return then === undefined ? "" : dateFormat.format(then);
}

/** What no screen should be asked to draw: control and direction-changing characters, shown as symbols. */
export function printable(text: string): string {
  return text.replace(UNPRINTABLE, "\u00b7");
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what it is about
const UNPRINTABLE = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]/g;

/** A value in one line: text as it is, anything else as JSON; cut after `most` characters. */
export function brief(value: unknown, most = 160): string {
  if (value === undefined) return "";
  const text = typeof value === "string" ? value : (JSON.stringify(value) ?? "");
  const line = printable(
    text
      .slice(0, most * 2)
      .replace(/\s+/g, " ")
      .trim(),
  );
  return line.length > most || text.length > most * 2 ? `${line.slice(0, most)}…` : line;
}
