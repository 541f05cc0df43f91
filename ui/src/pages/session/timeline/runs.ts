import type { Entry, Query } from "../../../api/types";
import { moment } from "../../../format";
import type { Row } from "./layout";

/** Bars of what is no span: the runs of a query's streams, and the times in which it waited for somebody. */

const BEGIN_WAIT: readonly string[] = ["query.waiting", "question.asked", "tool_approval_request"];
const END_WAIT: readonly string[] = [
  "question.answered",
  "question.expired",
  "question.canceled",
  "tool_approval_response",
  "query.resumed",
  "query.started",
  "query.completed",
  "query.failed",
  "query.canceled",
];

function bar(entry: Entry, id: string, kind: Row["kind"], start: number): Row {
  return {
    id,
    kind,
    category: kind === "wait" ? "wait" : "llm",
    name: "",
    type: entry.type,
    start,
    depth: 0,
    parent: -1,
    below: 0,
    isSkewed: false,
    isOrphan: false,
    marks: [],
    events: [],
  };
}

/** A stream's run, from its first chunk to its last; one that is not complete still runs while the query does. */
export function streamRows(query: Query): Row[] {
  const rows: Row[] = [];
  for (const entry of query.events) {
    const start = moment(entry.ts);
    if (entry.type !== "stream" || start === undefined) continue;
    const row = bar(entry, `stream:${rows.length}`, "stream", start);
    row.name = entry.stream ?? "stream";
    const isRunning = entry.complete !== true && query.phase === "running";
    if (!isRunning) row.end = start + (entry.duration ?? 0);
    if (typeof entry.tokens === "number") row.outputTokens = entry.tokens;
    if (entry.error !== undefined) row.error = entry.error;
    rows.push(row);
  }
  return rows;
}

/** From the moment that a query waits until it goes on, whoever reported either. */
export function waitRows(query: Query): Row[] {
  const rows: Row[] = [];
  let waiting: Row | undefined;
  for (const entry of query.events) {
    const time = moment(entry.ts);
    if (time === undefined) continue;
    if (waiting === undefined && BEGIN_WAIT.includes(entry.type)) {
      waiting = bar(entry, `wait:${rows.length}`, "wait", time);
      waiting.name = "waits for an answer";
      rows.push(waiting);
    } else if (waiting !== undefined && END_WAIT.includes(entry.type)) {
      waiting.end = Math.max(waiting.start, time);
      waiting = undefined;
    }
  }
  if (waiting !== undefined && query.phase !== "waiting")
    waiting.end = moment(query.endedAt) ?? waiting.start;
  return rows;
}

/**
 * Puts each stream under the model call whose output it is: the one that lies over most of it, of
 * several the one that began last. The call learns from it when its first token came.
 */
export function attachStreams(streams: Row[], spans: Row[], above: Map<string, string>): void {
  if (streams.length === 0) return;
  const calls = callsOf(spans);
  for (const stream of streams) {
    let best: Row | undefined;
    let most = 0;
    for (let at = lastBegunBefore(calls, endOf(stream)); at >= 0; at--) {
      const one = calls[at];
      // Of those that began yet earlier, none reaches the stream.
      if (one === undefined || one.reaches < stream.start) break;
      const shared = overlap(stream, one.call);
      if (shared > most) [best, most] = [one.call, shared];
    }
    if (best === undefined || most < length(stream) / 2) continue;
    above.set(stream.id, best.id);
    if (stream.start >= best.start) {
      best.firstToken = Math.min(best.firstToken ?? Number.POSITIVE_INFINITY, stream.start - best.start);
    }
  }
}

/** A model call, and how far it and all that began before it reach. */
interface Call {
  call: Row;
  reaches: number;
}

/** The model calls by their beginnings. */
function callsOf(spans: Row[]): Call[] {
  const calls = spans.filter((row) => row.category === "llm").sort((one, other) => one.start - other.start);
  let reaches = Number.NEGATIVE_INFINITY;
  return calls.map((call) => {
    reaches = Math.max(reaches, endOf(call));
    return { call, reaches };
  });
}

/** The place of the last call that began no later than `time`; -1 where there is none. */
function lastBegunBefore(calls: readonly Call[], time: number): number {
  let low = 0;
  let high = calls.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((calls[middle]?.call.start ?? 0) <= time) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

function endOf(row: Row): number {
  return row.end ?? Number.MAX_SAFE_INTEGER;
}

function length(row: Row): number {
  return (row.end ?? row.start) - row.start;
}

function overlap(one: Row, other: Row): number {
  const end = Math.min(endOf(one), endOf(other));
  // A stream of one chunk has no length, and yet lies in a call.
  return end - Math.max(one.start, other.start) + 0.001;
}
