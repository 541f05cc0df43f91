import type { Entry, Json, Query, QueryAnswer, Session, StoredEvent } from "../api/types";
import { bookOf, failuresOf, type LiveView, ownQuery, withOpenRuns } from "./book";
import { fold, positionOf, withPhases } from "./fold";
import { isOver } from "./kinds";

/**
 * The view with the broker's own reading of a query in the place of what was folded; `since` are the query's events that
 * came while it was asked, of which those that the answer does not have are folded again. A reading that leaves
 * something out changes nothing.
 */
export function reconcile(view: LiveView, answer: QueryAnswer, since: readonly StoredEvent[]): LiveView {
  if (answer.truncated === true || answer.log !== view.session.log) return view;
  const { name, session: _session, counts: _counts, seq, log: _log, ...told } = answer;
  const before = ownQuery(view.session, name);
  const book = bookOf(told.events, seq, isOver(told.phase));
  const query: Query = { ...told, events: shared(before?.events ?? [], withOpenRuns(told.events, book)) };
  const books = new Map(view.books).set(name, book);
  const queries = { ...view.session.queries };
  Object.defineProperty(queries, name, {
    value: query,
    enumerable: true,
    configurable: true,
    writable: true,
  });
  const session = withPhases(
    withDifference({ ...view.session, queries }, before, query),
    [name],
    view.session,
  );
  const missing = unseen(view, answer, since);
  const { events, chunks } = view.session.counts;
  const folded = fold({ ...view, session, books, failures: failuresOf(books) }, since);
  // What is folded again was counted when it came.
  const counts = {
    ...folded.session.counts,
    events: events + missing.events,
    chunks: chunks + missing.chunks,
  };
  return { ...folded, session: { ...folded.session, counts } };
}

/**
 * Events that the answer has and the stream has not brought yet: when it does they are in the query already, and are not
 * counted then. Of a tool call that goes on, and of messages, the answer does not say how many events they were.
 */
function unseen(
  view: LiveView,
  answer: QueryAnswer,
  since: readonly StoredEvent[],
): { events: number; chunks: number } {
  const before = ownQuery(view.session, answer.name);
  // The figures of a view that is cut short have more than its entries.
  if (view.session.truncatedAfter !== undefined || before?.truncated === true)
    return { events: 0, chunks: 0 };
  const streamed = Math.max(view.at, view.books.get(answer.name)?.at ?? 0);
  const single = answer.events.filter((entry) => entry.type !== "stream" && (entry.seq ?? 0) > streamed);
  const later = since.filter((event) => isInRun(event) && positionOf(event) > answer.seq);
  const chunks = Math.max(0, chunksIn(answer.events) + later.length - chunksIn(before?.events ?? []));
  return { events: single.length + chunks, chunks };
}

function isInRun(event: StoredEvent): boolean {
  return event.kind === "chunk" && event.type !== "stream.completed";
}

function chunksIn(entries: readonly Entry[]): number {
  return entries.reduce((sum, entry) => sum + (entry.chunks ?? 0), 0);
}

/** What the query's tokens, costs and calls are more now than they were, the session's are too. */
function withDifference(session: Session, before: Query | undefined, after: Query): Session {
  const { tokens, counts } = session;
  const was = before ?? { tokens: { input: 0, output: 0 }, events: [] as Entry[] };
  const cost = (after.cost ?? 0) - (before?.cost ?? 0);
  return {
    ...session,
    tokens: {
      ...tokens,
      input: tokens.input + after.tokens.input - was.tokens.input,
      output: tokens.output + after.tokens.output - was.tokens.output,
    },
    counts: {
      ...counts,
      toolCalls: counts.toolCalls + many(after.events, "tool.call") - many(was.events, "tool.call"),
      modelCalls: counts.modelCalls + many(after.events, "llm.request") - many(was.events, "llm.request"),
    },
    ...(cost === 0 ? {} : { cost: (session.cost ?? 0) + cost }),
  };
}

function many(entries: readonly Entry[], type: string): number {
  return entries.reduce((sum, entry) => (entry.type === type ? sum + 1 : sum), 0);
}

/** The entries, those that did not change being the very same objects as before; texts of open runs are kept. */
function shared(before: readonly Entry[], after: readonly Entry[]): Entry[] {
  const known = new Map(before.map((entry) => [entry.seq, entry]));
  return after.map((entry) => {
    const old = entry.seq === undefined ? undefined : known.get(entry.seq);
    if (old === undefined) return entry;
    const fresh = entry.text === "" && old.text !== undefined ? { ...entry, text: old.text } : entry;
    return same(old as unknown as Json, fresh as unknown as Json) ? old : fresh;
  });
}

function same(one: Json | undefined, other: Json | undefined): boolean {
  if (Object.is(one, other)) return true;
  if (typeof one !== "object" || typeof other !== "object" || one === null || other === null) return false;
  if (one === undefined || other === undefined || Array.isArray(one) !== Array.isArray(other)) return false;
  const left = one as Record<string, Json>;
  const right = other as Record<string, Json>;
  const keys = Object.keys(left);
  return keys.length === Object.keys(right).length && keys.every((key) => same(left[key], right[key]));
}
