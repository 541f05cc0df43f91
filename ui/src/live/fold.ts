import type { Entry, Query, Session, StoredEvent } from "../api/types";
import { type Book, copyOf, failuresOf, type LiveView, ownQuery } from "./book";
import { isOver } from "./kinds";
import { QueryDraft } from "./queryDraft";

/**
 * The view with these events in it, which came in the order of their positions. Events that are in it already change
 * nothing; queries of which nothing came, and entries that did not change, stay the very same objects.
 */
export function fold(view: LiveView, events: readonly StoredEvent[]): LiveView {
  if (view.at >= view.counted) return step(view, events, true);
  const cut = events.findIndex((event) => positionOf(event) > view.counted);
  if (cut < 0) return step(view, events, false);
  return step(step(view, events.slice(0, cut), false), events.slice(cut), true);
}

function step(view: LiveView, events: readonly StoredEvent[], isCounting: boolean): LiveView {
  const drafts = new Map<string, QueryDraft>();
  let at = view.at;
  let newest = view.newest;
  let count = 0;
  for (const event of events) {
    const position = positionOf(event);
    const name = event.query ?? "";
    let draft = drafts.get(name);
    if (draft === undefined) {
      draft = draftOf(view, name);
      drafts.set(name, draft);
    }
    if (!draft.take(event, position)) continue;
    count += 1;
    at = Math.max(at, position);
    if (draft.touched !== undefined) newest = { query: name, seq: draft.touched };
  }
  if (count === 0) return view;
  const books = new Map(view.books);
  const queries = { ...view.session.queries };
  let session: Session = { ...view.session, queries };
  let areFailuresNew = false;
  for (const [name, draft] of drafts) {
    if (!draft.isChanged) continue;
    areFailuresNew ||= draft.book.failures !== view.books.get(name)?.failures;
    books.set(name, draft.book);
    if (name === "") session = { ...session, events: draft.entries };
    else setOwn(queries, name, draft.query());
    if (isCounting) session = withCounts(session, draft);
  }
  if (isCounting) session = withPhases(session, [...drafts.keys()], view.session);
  session = { ...session, seq: Math.max(session.seq, at) };
  return {
    ...view,
    session,
    books,
    failures: areFailuresNew ? failuresOf(books) : view.failures,
    newest,
    at,
  };
}

/** Entries of which a copy costs next to nothing. */
const FEW = 5_000;
const LONGEST_PAUSE = 250;

/**
 * Milliseconds to let pass from one fold to the next where the queries that change have so many entries: these are copied,
 * and the page works out its rows anew, each time. Small ones change with every frame.
 */
export function foldPause(entries: number): number {
  return entries <= FEW ? 0 : Math.min(LONGEST_PAUSE, entries / 200);
}

/** Where an event stands in its session's stream. */
export function positionOf(event: StoredEvent): number {
  return event.sessionSeq ?? event.seq;
}

function draftOf(view: LiveView, name: string): QueryDraft {
  const book = view.books.get(name);
  const query = name === "" ? undefined : ownQuery(view.session, name);
  const entries = name === "" ? view.session.events : query?.events;
  return new QueryDraft(query ?? NEW, entries ?? [], book === undefined ? emptyBook() : copyOf(book));
}

const NEW: Query = { phase: "pending", mcpSessions: {}, tokens: { input: 0, output: 0 }, events: [] };

function emptyBook(): Book {
  return { at: 0, runs: new Map(), last: new Map(), calls: new Map(), failures: [], streamed: 0 };
}

/** A name may be that of a member that every object has. */
function setOwn(queries: Record<string, Query>, name: string, query: Query): void {
  Object.defineProperty(queries, name, {
    value: query,
    enumerable: true,
    configurable: true,
    writable: true,
  });
}

function withCounts(session: Session, draft: QueryDraft): Session {
  const { counts, tokens } = session;
  const added = draft.added;
  return {
    ...session,
    counts: {
      ...counts,
      events: counts.events + added.events,
      chunks: counts.chunks + added.chunks,
      toolCalls: counts.toolCalls + added.toolCalls,
      modelCalls: counts.modelCalls + added.modelCalls,
    },
    tokens: { ...tokens, input: tokens.input + added.input, output: tokens.output + added.output },
    ...(added.cost > 0 ? { cost: (session.cost ?? 0) + added.cost } : {}),
    ...(draft.latest === undefined ? {} : { lastActivity: later(session.lastActivity, draft.latest) }),
    ...union("agents", session.agents, draft.agents),
    ...union("models", session.models, draft.models),
  };
}

/** The session with the phases of these queries counted anew, the others as they were `before`. */
export function withPhases(session: Session, names: readonly string[], before: Session): Session {
  const phases = { ...session.counts.phases };
  let queries = session.counts.queries;
  let isChanged = false;
  let last = session.status === "error";
  for (const name of names) {
    const was = ownQuery(before, name)?.phase;
    const is = ownQuery(session, name)?.phase;
    if (was === is) continue;
    isChanged = true;
    if (was === undefined) queries += 1;
    else phases[was] = Math.max(0, (phases[was] ?? 0) - 1);
    if (is === undefined) queries -= 1;
    else {
      phases[is] = (phases[is] ?? 0) + 1;
      if (isOver(is)) last = is === "error";
    }
  }
  if (!isChanged) return session;
  const isActive = (phases.running ?? 0) + (phases.pending ?? 0) > 0;
  const status = isActive ? "active" : (phases.waiting ?? 0) > 0 ? "waiting" : last ? "error" : "idle";
  return { ...session, status, counts: { ...session.counts, phases, queries, errors: phases.error ?? 0 } };
}

function later(one: string | undefined, other: string): string {
  return one === undefined || other > one ? other : one;
}

function union(
  key: "agents" | "models",
  known: readonly string[] | undefined,
  found: ReadonlySet<string>,
): Partial<Session> {
  const fresh = [...found].filter((name) => known?.includes(name) !== true);
  return fresh.length === 0 ? {} : { [key]: [...(known ?? []), ...fresh] };
}

/** Where an entry stands; the newest are looked at first. -1 where it is none of these. */
export function placeOf(entries: readonly Entry[], seq: number): number {
  return entries.findLastIndex((entry) => entry.seq === seq);
}
