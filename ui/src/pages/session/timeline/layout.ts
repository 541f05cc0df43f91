import type { Query, StoredEvent, Trace } from "../../../api/types";
import { moment } from "../../../format";
import { isOver } from "../../../live/kinds";
import { attributesOf, spanName } from "./otlp";
import { attachStreams, streamRows, waitRows } from "./runs";

/** What a row's time was spent on. */
export type Category = "llm" | "tool" | "agent" | "wait" | "other";

/** One bar. Times are milliseconds since the epoch, by the producers' clocks. */
export interface Row {
  /** The span's id; of a stream or a wait, a name of its own. */
  id: string;
  kind: "span" | "stream" | "wait";
  category: Category;
  name: string;
  type: string;
  start: number;
  /** Absent while it runs. */
  end?: number;
  /** Milliseconds in which nothing below it ran. */
  selfTime?: number;
  depth: number;
  /** Positions in `Timeline.rows` of what is directly above; -1 at the top. */
  parent: number;
  /** How many rows lie below it. They follow it directly. */
  below: number;
  error?: string;
  /** Began before what it is part of: the clocks of two machines differ. */
  isSkewed: boolean;
  /** Its parent was not reported. */
  isOrphan: boolean;
  /** Milliseconds from the start to the model's first token. */
  firstToken?: number;
  outputTokens?: number;
  inputTokens?: number;
  cost?: number;
  /** Other events that happened in the span, without those of streams. */
  marks: Mark[];
  /** The reports of the span, in the order of the log. */
  events: StoredEvent[];
}

export interface Mark {
  time: number;
  event: StoredEvent;
}

export interface Timeline {
  /** Parents before their children, by start time. */
  rows: Row[];
  start: number;
  /** Of what has ended. */
  end: number;
  isRunning: boolean;
}

/** What the traces alone tell: rows of spans, not yet in order, and of each the id of the span above it. */
export interface Spans {
  readonly rows: readonly Readonly<Row>[];
  readonly above: ReadonlyMap<string, string>;
}

/** The waterfall of a query: the spans of its traces, its streams, and the times in which it waited. */
export function layOut(traces: readonly Trace[], query: Query | undefined): Timeline {
  return arrange(spansOf(traces), query);
}

/** The same, of spans that were made before: traces are read now and then, while the query changes with every event. */
export function arrange(given: Spans, query: Query | undefined): Timeline {
  const spans = { rows: given.rows.map((row): Row => ({ ...row })), above: new Map(given.above) };
  const waits = query === undefined ? [] : waitRows(query);
  const streams = query === undefined ? [] : streamRows(query);
  const over = query !== undefined && isOver(query.phase) ? moment(query.endedAt) : undefined;
  const all = [...spans.rows, ...waits, ...streams];
  // Of a query that is over nothing runs: what has no end was never reported to the end.
  if (over !== undefined) {
    for (const row of all) row.end ??= Math.max(row.start, over);
  }
  putBelowRoot([...waits, ...streams], spans);
  attachStreams(streams, spans.rows, spans.above);
  const rows = inOrder(all, spans.above);
  setSelfTimes(rows);
  return {
    rows,
    ...extent(rows, over),
    isRunning: rows.some((row) => row.end === undefined),
  };
}

/** What is no span lies in the query, and so below its root, where there is one. */
function putBelowRoot(rows: Row[], spans: { rows: Row[]; above: Map<string, string> }): void {
  const roots = spans.rows.filter((row) => !spans.above.has(row.id));
  const root = roots[0];
  if (root === undefined || roots.length > 1) return;
  for (const row of rows) spans.above.set(row.id, root.id);
}

function extent(rows: Row[], over: number | undefined): { start: number; end: number } {
  let start = Number.POSITIVE_INFINITY;
  let end = Number.NEGATIVE_INFINITY;
  for (const row of rows) {
    start = Math.min(start, row.start);
    end = Math.max(end, row.end ?? row.start);
  }
  if (rows.length === 0) return { start: over ?? 0, end: over ?? 0 };
  return { start, end };
}

/** The spans of the traces: the costly part of `layOut`, in which every event is looked into. */
export function spansOf(traces: readonly Trace[]): Spans {
  const rows = new Map<string, Row>();
  const above = new Map<string, string>();
  const others: StoredEvent[] = [];
  for (const event of eventsOf(traces)) {
    if (event.kind !== "span" || event.spanId === undefined) {
      if (event.kind !== "chunk") others.push(event);
      continue;
    }
    const { id, parent } = placeOf(event, event.spanId);
    if (parent !== undefined) above.set(id, parent);
    const row = rows.get(id);
    if (row === undefined) rows.set(id, spanRow(event, id));
    else addReport(row, event);
  }
  for (const event of others) {
    const row = rows.get(event.spanId ?? event.parentSpanId ?? "");
    const time = moment(event.time);
    if (row !== undefined && time !== undefined) row.marks.push({ time, event });
  }
  return { rows: [...rows.values()], above };
}

function eventsOf(traces: readonly Trace[]): StoredEvent[] {
  const found: StoredEvent[] = [];
  const rest = traces.flatMap(({ roots }) => roots);
  for (let node = rest.pop(); node !== undefined; node = rest.pop()) {
    found.push(node.event);
    if (node.children !== undefined) rest.push(...node.children);
  }
  return found.sort((one, other) => one.seq - other.seq);
}

/** A pending span has an id of its own; what has begun is the span above it, which will be reported at its end. */
function placeOf(event: StoredEvent, own: string): { id: string; parent: string | undefined } {
  const attributes = isUnended(event) ? attributesOf(event) : {};
  if (attributes["logfire.span_type"] !== "pending_span" || event.parentSpanId === undefined) {
    return { id: own, parent: event.parentSpanId };
  }
  const parent = attributes["logfire.pending_parent_id"];
  return {
    id: event.parentSpanId,
    parent: typeof parent === "string" && !/^0*$/.test(parent) ? parent : undefined,
  };
}

function isUnended(event: StoredEvent): boolean {
  return event.duration === undefined;
}

function spanRow(event: StoredEvent, id: string): Row {
  const row: Row = {
    id,
    kind: "span",
    category: categoryOf(event.type),
    name: "",
    type: event.type,
    start: moment(event.time) ?? 0,
    depth: 0,
    parent: -1,
    below: 0,
    isSkewed: false,
    isOrphan: false,
    marks: [],
    events: [],
  };
  addReport(row, event);
  return row;
}

/** One span may be reported at its start, at its end, and under several names. */
function addReport(row: Row, event: StoredEvent): void {
  row.events.push(event);
  const start = moment(event.time) ?? row.start;
  row.start = Math.min(row.start, start);
  if (event.duration !== undefined) {
    row.end = Math.max(row.end ?? start, start + Math.max(0, event.duration));
    row.type = event.type;
    row.category = categoryOf(event.type);
  }
  row.name = nameOf(event, row.category) ?? row.name;
  const error = event.error ?? (event.status === "error" ? "failed" : undefined);
  if (error !== undefined || event.type.endsWith(".failed")) row.error = error ?? row.error ?? "failed";
  if (event.inputTokens !== undefined) row.inputTokens = event.inputTokens;
  if (event.outputTokens !== undefined) row.outputTokens = event.outputTokens;
  if (event.cost !== undefined) row.cost = event.cost;
}

const CATEGORIES: readonly (readonly [RegExp, Category])[] = [
  [/^llm\./, "llm"],
  [/^(tool\.|retrieval$|rerank$|memory\.)/, "tool"],
  [/^(question\.|tool_approval)/, "wait"],
  [/^(agent\.|workflow\.|query\.)/, "agent"],
];

export function categoryOf(type: string): Category {
  return CATEGORIES.find(([pattern]) => pattern.test(type))?.[1] ?? "other";
}

function nameOf(event: StoredEvent, category: Category): string | undefined {
  const own = spanName(event) ?? event.type;
  if (category === "tool") return event.tool ?? own;
  if (category === "llm") return event.model ?? own;
  if (category !== "agent") return own;
  return (event.type.startsWith("query.") ? event.query : event.agent) ?? own;
}

/** Parents before children, siblings by time; a circle is opened where it closes, and nothing is left out. */
function inOrder(all: Row[], above: Map<string, string>): Row[] {
  const byId = new Map(all.map((row) => [row.id, row]));
  const tops = circleTops(all, above);
  const children = new Map<string, Row[]>();
  const roots: Row[] = [];
  for (const row of all) {
    const parent = above.get(row.id);
    row.isOrphan = parent !== undefined && !byId.has(parent);
    const siblings = parent === undefined ? undefined : children.get(parent);
    if (parent === undefined || row.isOrphan || tops.has(row.id)) roots.push(row);
    else if (siblings === undefined) children.set(parent, [row]);
    else siblings.push(row);
  }
  const rows: Row[] = [];
  const rest = roots.sort(later).map((row) => ({ row, parent: -1 }));
  for (let next = rest.pop(); next !== undefined; next = rest.pop()) {
    const { row, parent } = next;
    const position = rows.push(row) - 1;
    const upper = rows[parent];
    row.parent = parent;
    row.depth = upper === undefined ? 0 : upper.depth + 1;
    row.isSkewed = upper !== undefined && row.start < upper.start - 1;
    for (const child of (children.get(row.id) ?? []).sort(later)) rest.push({ row: child, parent: position });
  }
  for (let at = rows.length - 1; at >= 0; at--) {
    const row = rows[at];
    const upper = row === undefined ? undefined : rows[row.parent];
    if (row !== undefined && upper !== undefined) upper.below += row.below + 1;
  }
  return rows;
}

/** Last first: rows are taken from the end. */
function later(one: Row, other: Row): number {
  return other.start - one.start || (other.end ?? 0) - (one.end ?? 0) || other.id.localeCompare(one.id);
}

/** One row of every circle of parents: it counts as having none. Each row is walked over once. */
function circleTops(all: Row[], above: Map<string, string>): Set<string> {
  const tops = new Set<string>();
  const walkedIn = new Map<string, number>();
  all.forEach((row, walk) => {
    let at: string | undefined = row.id;
    while (at !== undefined && !walkedIn.has(at)) {
      walkedIn.set(at, walk);
      at = above.get(at);
    }
    if (at !== undefined && walkedIn.get(at) === walk) tops.add(at);
  });
  return tops;
}

/** Each span's time without that of the spans below it, alone or together. */
function setSelfTimes(rows: Row[]): void {
  const covered = new Map<number, { until: number; total: number }>();
  const spans = rows.map((row, at) => ({ row, at })).filter(({ row }) => row.kind === "span");
  for (const { row } of [...spans].sort((one, other) => one.row.start - other.row.start)) {
    const upper = rows[row.parent];
    if (upper?.end === undefined) continue;
    const so = covered.get(row.parent) ?? { until: upper.start, total: 0 };
    const from = Math.max(row.start, so.until);
    const to = Math.min(row.end ?? upper.end, upper.end);
    if (to > from) so.total += to - from;
    so.until = Math.max(so.until, to);
    covered.set(row.parent, so);
  }
  for (const { row, at } of spans) {
    if (row.end !== undefined)
      row.selfTime = Math.max(0, row.end - row.start - (covered.get(at)?.total ?? 0));
  }
}

/** The rows that are seen while those in `closed` hide what is below them: positions in `rows`. */
export function visible(rows: Row[], closed: ReadonlySet<string>): number[] {
  const found: number[] = [];
  for (let at = 0; at < rows.length; at++) {
    const row = rows[at];
    if (row === undefined) break;
    found.push(at);
    if (closed.has(row.id)) at += row.below;
  }
  return found;
}

/** Output tokens a second, from the first token on. */
export function tokensPerSecond(row: Row): number | undefined {
  if (row.outputTokens === undefined || row.end === undefined) return undefined;
  const seconds = (row.end - row.start - (row.firstToken ?? 0)) / 1000;
  return seconds > 0.001 && row.outputTokens > 0 ? row.outputTokens / seconds : undefined;
}
