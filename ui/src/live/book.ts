import type { Entry, Query, Session } from "../api/types";
import { isFailed, isOver, TOOL_TYPES } from "./kinds";

/** What the fold remembers of a query beside what is shown: small, for it is copied with every change. */
export interface Book {
  /** Position of the last event that is in the query's entries. */
  at: number;
  /** Runs of chunks that are being written: the seq of the entry, by stream. */
  runs: Map<string, number>;
  /** The last run of each stream, whether it is being written or not. */
  last: Map<string, number>;
  /** Tool calls that something may still be told of: the seq of the entry, by the call's id and by its span. */
  calls: Map<string, number>;
  /** The entries that tell of something that went wrong, by seq, in the order of the entries. */
  failures: readonly number[];
  /** Tokens counted from chunks for which no model call has been reported yet. */
  streamed: number;
}

/** Late reports of older calls, and of streams, are left to the broker's own reading. */
const MOST_REMEMBERED = 64;

export interface Failure {
  query: string;
  seq: number;
}

/** A session as it is shown, and what is needed to go on with it. */
export interface LiveView {
  readonly session: Session;
  /** By query; "" for entries that belong to none. */
  readonly books: ReadonlyMap<string, Book>;
  /** All failures, in the order of the queries. */
  readonly failures: readonly Failure[];
  /** The entry that changed last. */
  readonly newest: Failure | undefined;
  /** Position of the last event that is in the view. */
  readonly at: number;
  /** Position of the last event that is in the session's figures: of a view that is cut short these know more. */
  readonly counted: number;
}

/** The view that begins with a snapshot. */
export function viewOf(session: Session): LiveView {
  const at = session.truncatedAfter ?? session.seq;
  const books = new Map<string, Book>();
  for (const [name, query] of Object.entries(session.queries)) {
    books.set(name, bookOf(query.events, at, isOver(query.phase)));
  }
  const marked: Session = { ...session, queries: { ...session.queries } };
  for (const [name, book] of books) {
    const query = ownQuery(session, name);
    if (query !== undefined && book.runs.size > 0) {
      marked.queries = { ...marked.queries, [name]: { ...query, events: withOpenRuns(query.events, book) } };
    }
  }
  if (session.events !== undefined) books.set("", bookOf(session.events, at, false));
  const counted = session.seq;
  return { session: marked, books, failures: failuresOf(books), newest: undefined, at, counted };
}

/** The view that goes on behind a position, whatever happened before it. */
export function skippedTo(view: LiveView, at: number): LiveView {
  const books = new Map([...view.books].map(([name, book]) => [name, { ...book, at }]));
  return { ...view, books, at };
}

/** What is to be remembered of entries that the broker made, all events up to `at` being in them. */
export function bookOf(entries: readonly Entry[], at: number, isClosed: boolean): Book {
  const book: Book = {
    at,
    runs: new Map(),
    last: new Map(),
    calls: new Map(),
    failures: entries.filter(isFailed).map((entry) => entry.seq ?? 0),
    streamed: 0,
  };
  let isInterrupted = isClosed;
  for (let index = entries.length - 1; index >= 0 && entries.length - index <= 500; index--) {
    const entry = entries[index];
    if (entry?.seq === undefined) continue;
    if (entry.type === "stream") {
      const stream = entry.stream ?? "";
      if (book.last.has(stream)) continue;
      book.last.set(stream, entry.seq);
      if (!isInterrupted && entry.complete !== true) book.runs.set(stream, entry.seq);
      continue;
    }
    if (TOOL_TYPES.has(entry.type)) {
      for (const key of callKeys(entry)) if (!book.calls.has(key)) book.calls.set(key, entry.seq);
    }
    // A later start than the run's is no proof that the run is over, but all there is.
    if (entry.type.includes(".")) isInterrupted = true;
  }
  return book;
}

export function copyOf(book: Book): Book {
  return {
    ...book,
    runs: new Map(book.runs),
    last: trimmed(book.last),
    calls: trimmed(book.calls),
  };
}

/** Under which names the parts of a tool call find each other. */
export function callKeys(of: { toolCallId?: string; spanId?: string; tool?: string }): string[] {
  const keys: string[] = [];
  if (of.toolCallId !== undefined) keys.push(`id:${of.toolCallId}`);
  if (of.spanId !== undefined) keys.push(`span:${of.spanId}`);
  return keys.length > 0 ? keys : [`tool:${of.tool ?? ""}`];
}

export function failuresOf(books: ReadonlyMap<string, Book>): readonly Failure[] {
  return [...books].flatMap(([query, book]) => book.failures.map((seq) => ({ query, seq })));
}

/** The query of that name, whatever the name is. */
export function ownQuery(session: Session, name: string): Query | undefined {
  return Object.hasOwn(session.queries, name) ? session.queries[name] : undefined;
}

/** Open runs have a text, be it empty: so they are known as such. */
export function withOpenRuns(entries: readonly Entry[], book: Book): Entry[] {
  const open = new Set(book.runs.values());
  return entries.map((entry) =>
    entry.seq !== undefined && open.has(entry.seq) && entry.text === undefined
      ? { ...entry, text: "" }
      : entry,
  );
}

function trimmed(map: ReadonlyMap<string, number>): Map<string, number> {
  const copy = new Map(map);
  for (const key of copy.keys()) {
    if (copy.size <= MOST_REMEMBERED) break;
    copy.delete(key);
  }
  return copy;
}
