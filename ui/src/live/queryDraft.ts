import type { Entry, Query, StoredEvent } from "../api/types";
import { moment } from "../format";
import { type Book, callKeys } from "./book";
import { contentOf, textOfChunk } from "./content";
import { interrupts, isFailed, isOver, lengthOf, momentOf, phaseAfter, TOOL_TYPES } from "./kinds";

/** Characters of a run's newest text that are kept while it is written. */
const TEXT_KEPT = 4_000;

/** A query while events are folded into it: what is shown of it is copied once, however many they are. */
export class QueryDraft {
  entries: Entry[];
  isChanged = false;
  /** The entry that the last event changed, by seq. */
  touched: number | undefined;
  latest: string | undefined;
  readonly agents = new Set<string>();
  readonly models = new Set<string>();
  readonly added = { events: 0, chunks: 0, toolCalls: 0, modelCalls: 0, input: 0, output: 0, cost: 0 };
  #head: Query;
  #isCopied = false;

  constructor(
    query: Query,
    entries: Entry[],
    readonly book: Book,
  ) {
    this.#head = query;
    this.entries = entries;
  }

  /** Takes the event that stands at `position`; false where it is in the query already. */
  take(event: StoredEvent, position: number): boolean {
    this.touched = undefined;
    if (position <= this.book.at) return false;
    this.book.at = position;
    this.isChanged = true;
    this.added.events += 1;
    this.latest = event.time;
    if (event.agent !== undefined) this.agents.add(event.agent);
    if (event.model !== undefined) this.models.add(event.model);
    this.#changePhase(event);
    if (event.kind === "chunk") this.#takeChunk(event, position);
    else this.#takeReport(event, position);
    return true;
  }

  query(): Query {
    const { tokens, agents, models, cost } = this.#head;
    return {
      ...this.#head,
      ...(this.agents.size > 0 ? { agents: [...new Set([...(agents ?? []), ...this.agents])] } : {}),
      ...(this.models.size > 0 ? { models: [...new Set([...(models ?? []), ...this.models])] } : {}),
      tokens: {
        ...tokens,
        input: tokens.input + this.added.input,
        output: tokens.output + this.added.output,
      },
      ...(this.added.cost > 0 ? { cost: (cost ?? 0) + this.added.cost } : {}),
      events: this.entries,
    };
  }

  #changePhase(event: StoredEvent): void {
    const before = this.#head;
    const phase = phaseAfter(before.phase, event);
    const startedAt = before.startedAt ?? event.time;
    const traceIds = withTrace(before.traceIds, event.traceId);
    if (phase === before.phase && startedAt === before.startedAt && traceIds === before.traceIds) return;
    this.#head = {
      ...before,
      phase,
      startedAt,
      ...(traceIds?.[0] !== undefined && { traceId: traceIds[0], traceIds }),
    };
    if (phase === before.phase) return;
    if (!isOver(phase)) {
      delete this.#head.endedAt;
      delete this.#head.duration;
      delete this.#head.error;
      return;
    }
    const end = momentOf(event);
    const start = moment(startedAt);
    this.#head.endedAt = new Date(end).toISOString();
    if (start !== undefined && end > start) this.#head.duration = end - start;
    if (phase === "error" && event.error !== undefined) this.#head.error = event.error;
    this.#interrupt();
  }

  #takeChunk(event: StoredEvent, position: number): void {
    this.added.chunks += 1;
    const stream = event.streamId ?? event.query ?? "";
    if (event.type === "stream.completed") {
      const last = this.book.last.get(stream);
      this.book.runs.delete(stream);
      if (last !== undefined) this.#change(last, (entry) => ({ ...silent(entry), complete: true }));
      return;
    }
    const open = this.book.runs.get(stream);
    const place = open === undefined ? -1 : this.#placeOf(open);
    const before = this.entries[place];
    const run: Entry = before ?? {
      seq: position,
      type: "stream",
      ts: event.time,
      stream,
      tokens: 0,
      chunks: 0,
      text: "",
    };
    const after = { ...run, chunks: (run.chunks ?? 0) + 1 };
    const known = typeof run.tokens === "number" ? run.tokens : 0;
    if (event.type === "llm.chunk") after.tokens = Math.max(known + 1, event.outputTokens ?? 0);
    else if (event.type === "llm.usage") after.tokens = event.outputTokens ?? known;
    else if (event.type === "llm.error") after.status = "error";
    if (event.error !== undefined) after.error = event.error;
    if (event.model !== undefined) after.model = event.model;
    if (event.agent !== undefined) after.agent = event.agent;
    const began = moment(run.ts);
    const now = moment(event.time);
    if (began !== undefined && now !== undefined && now > began) after.duration = now - began;
    after.text = ((run.text ?? "") + textOfChunk(event.body)).slice(-TEXT_KEPT);
    const grown = Math.max(0, (typeof after.tokens === "number" ? after.tokens : known) - known);
    this.added.output += grown;
    this.book.streamed += grown;
    if (before !== undefined) {
      this.#set(place, after);
      return;
    }
    this.book.runs.set(stream, position);
    this.book.last.delete(stream);
    this.book.last.set(stream, position);
    this.#insert(after);
  }

  #takeReport(event: StoredEvent, position: number): void {
    if (interrupts(event.type)) this.#interrupt();
    if (event.type === "llm.message") return;
    if (TOOL_TYPES.has(event.type)) {
      this.#takeTool(event, position);
      return;
    }
    const entry = entryOf(event, position);
    if (event.type === "llm.request") this.#countModelCall(event);
    if (event.inputTokens !== undefined || event.outputTokens !== undefined) {
      entry.tokens = { input: event.inputTokens ?? 0, output: event.outputTokens ?? 0 };
    }
    this.#insert(entry);
  }

  #countModelCall(event: StoredEvent): void {
    this.added.modelCalls += 1;
    this.added.input += event.inputTokens ?? 0;
    // What was streamed has been counted as it came.
    this.added.output += Math.max(0, (event.outputTokens ?? 0) - this.book.streamed);
    this.added.cost += event.cost ?? 0;
    this.book.streamed = 0;
  }

  #takeTool(event: StoredEvent, position: number): void {
    const lies = event.spanId ?? event.parentSpanId;
    const keys = callKeys({ ...event, ...(lies === undefined ? {} : { spanId: lies }) });
    const seq = keys.map((key) => this.book.calls.get(key)).find((found) => found !== undefined);
    const place = seq === undefined ? -1 : this.#placeOf(seq);
    const before = this.entries[place];
    const isBegin = event.type === "tool.call";
    const isAnother = before !== undefined && isBegin && event.kind !== "span" && hasEnded(before);
    if (before === undefined || isAnother) {
      const entry: Entry = { ...entryOf(event, position), type: "tool.call" };
      if (event.type === "tool.failed") entry.status = "error";
      this.added.toolCalls += 1;
      this.#remember(keys, position);
      this.#insert(entry);
      return;
    }
    const { type: _type, seq: _seq, ts: _ts, spanId: _span, ...told } = entryOf(event, position);
    const after: Entry = { ...before, ...told };
    if (event.type === "tool.failed") after.status = "error";
    else if (event.type === "tool.result" && event.error === undefined && event.status !== "error") {
      delete after.status;
      delete after.error;
    }
    const took = (moment(event.time) ?? 0) + (event.duration ?? 0) - (moment(before.ts) ?? 0);
    if (!isBegin && took > 0) after.duration = took;
    if (seq !== undefined) this.#remember(keys, seq);
    this.#set(place, after);
  }

  #remember(keys: readonly string[], seq: number): void {
    for (const key of keys) {
      this.book.calls.delete(key);
      this.book.calls.set(key, seq);
    }
  }

  /** The next chunk of any stream begins a new run. */
  #interrupt(): void {
    for (const seq of this.book.runs.values()) this.#change(seq, silent);
    this.book.runs.clear();
  }

  #change(seq: number, change: (entry: Entry) => Entry): void {
    const place = this.#placeOf(seq);
    const entry = this.entries[place];
    if (entry !== undefined) this.#set(place, change(entry));
  }

  #placeOf(seq: number): number {
    return this.entries.findLastIndex((entry) => entry.seq === seq);
  }

  #set(place: number, entry: Entry): void {
    const before = this.entries[place];
    this.#writable()[place] = entry;
    this.touched = entry.seq;
    if (before !== undefined && isFailed(before) !== isFailed(entry)) this.#noteFailure(entry);
  }

  /** Puts an entry where it stands by its time: reports of work come at its end, and take the place of its start. */
  #insert(entry: Entry): void {
    const when = moment(entry.ts) ?? 0;
    const entries = this.#writable();
    let place = entries.length;
    while (place > 0 && (moment(entries[place - 1]?.ts) ?? 0) > when) place -= 1;
    if (place === entries.length) entries.push(entry);
    else entries.splice(place, 0, entry);
    this.touched = entry.seq;
    if (isFailed(entry)) this.#noteFailure(entry);
  }

  #noteFailure(entry: Entry): void {
    const others = this.book.failures.filter((seq) => seq !== entry.seq);
    this.book.failures = isFailed(entry) ? [...others, entry.seq ?? 0] : others;
  }

  #writable(): Entry[] {
    if (!this.#isCopied) {
      this.entries = this.entries.slice();
      this.#isCopied = true;
    }
    return this.entries;
  }
}

/** The entry that an event is by itself. */
function entryOf(event: StoredEvent, position: number): Entry {
  const content = contentOf(event);
  const when = momentOf(event);
  const isMoved = when !== moment(event.time);
  const took = content.duration ?? lengthOf(event);
  const entry: Entry = {
    seq: position,
    type: event.type,
    ts: isMoved ? new Date(when).toISOString() : event.time,
  };
  const { duration: _claimed, ...said } = content;
  Object.assign(entry, said);
  if (took !== undefined) entry.duration = took;
  for (const key of COLUMNS) {
    const value = event[key];
    if (value !== undefined) Object.assign(entry, { [key]: value });
  }
  return entry;
}

const COLUMNS = [
  "spanId",
  "tool",
  "toolCallId",
  "agent",
  "model",
  "provider",
  "mcpServer",
  "taskId",
  "taskState",
  "questionId",
  "status",
  "error",
  "cost",
  "costBy",
] as const;

function hasEnded(entry: Entry): boolean {
  return entry.output !== undefined || entry.duration !== undefined || entry.status !== undefined;
}

function silent(entry: Entry): Entry {
  if (entry.text === undefined) return entry;
  const { text: _text, ...rest } = entry;
  return rest;
}

/** As many as the broker keeps. */
const MOST_TRACES = 20;

function withTrace(known: string[] | undefined, traceId: string | undefined): string[] | undefined {
  if (traceId === undefined || known?.includes(traceId) || (known?.length ?? 0) >= MOST_TRACES) return known;
  return [...(known ?? []), traceId];
}
