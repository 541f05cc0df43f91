import { moment } from "../../format";

export interface Range {
  key: string;
  name: string;
  ms: number;
  /** Length of a bar: so many that they are neither hairs nor blocks. */
  bucket: string;
}

const HOUR = 3_600_000;
const DAY = 24 * HOUR;

export const RANGES = [
  { key: "1h", name: "1 h", ms: HOUR, bucket: "2m" },
  { key: "24h", name: "24 h", ms: DAY, bucket: "1h" },
  { key: "7d", name: "7 d", ms: 7 * DAY, bucket: "4h" },
  { key: "30d", name: "30 d", ms: 30 * DAY, bucket: "1d" },
] as const satisfies readonly Range[];

const USUAL = RANGES[1];

/** The range that an address names, or the usual one. */
export function rangeFrom(key: string | null): Range {
  return RANGES.find((each) => each.key === key) ?? USUAL;
}

const hours = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", hour12: false });
const days = new Intl.DateTimeFormat(undefined, { month: "short", day: "numeric" });
const both = new Intl.DateTimeFormat(undefined, {
  weekday: "short",
  month: "short",
  day: "numeric",
  hour: "2-digit",
  minute: "2-digit",
  hour12: false,
});

/** How a time stands beneath the charts of a range. */
export function tick(at: string, range: Range): string {
  const time = moment(at);
  if (time === undefined) return "";
  return range.ms > DAY ? days.format(time) : hours.format(time);
}

/** "Sat, Nov 21, 14:15 – 14:30": the bar of so many seconds that begins there. */
export function span(at: string, seconds: number): string {
  const time = moment(at);
  if (time === undefined) return "";
  if (seconds >= DAY / 1000) return days.format(time);
  return `${both.format(time)} – ${hours.format(time + seconds * 1000)}`;
}
