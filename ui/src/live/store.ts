import { ApiError, get, path } from "../api/http";
import type { QueryAnswer, Session, StoredEvent } from "../api/types";
import { type Failure, type LiveView, ownQuery, skippedTo, viewOf } from "./book";
import { fold, foldPause, positionOf } from "./fold";
import { reconcile } from "./reconcile";
import { afterAsking, afterEvents, nextReading, type Reading, UNREAD } from "./schedule";
import { type Frame, type LiveState, openStream, type Stream } from "./stream";

/** What a page is shown of a session at one moment; the same object until something changes. */
export interface Shown {
  session: Session | undefined;
  error: Error | null;
  state: LiveState;
  /** How often something happened, by query. */
  revisions: Readonly<Record<string, number>>;
  /** How often the broker's own reading of a query took the place of what was folded here. */
  readings: number;
  gone: boolean;
  failures: readonly Failure[];
  newest: Failure | undefined;
  isPaused: boolean;
  /** Events that came while the page was paused. */
  held: number;
  /** The view was taken anew, because something may have been missed; the number grows each time. */
  reloads: number;
  /** Events between the snapshot and now that are too many to be fetched. */
  skipped: number;
}

const NOTHING: Shown = {
  session: undefined,
  error: null,
  state: "connecting",
  revisions: {},
  readings: 0,
  gone: false,
  failures: [],
  newest: undefined,
  isPaused: false,
  held: 0,
  reloads: 0,
  skipped: 0,
};
/** The broker makes a view of the first 50,000 events; so many more are read one by one. */
const MOST_CAUGHT_UP = 100_000;
const VIEW_EVENTS = 50_000;
const FIRST_RETRY_MS = 500;
const LONGEST_RETRY_MS = 10_000;

/** A session's view and what happens in it from then on, outside of any component. */
export class SessionStore {
  #shown: Shown = NOTHING;
  #view: LiveView | undefined;
  #revisions: Record<string, number> = {};
  #stream: Stream | undefined;
  #loading: AbortController | undefined;
  #retryMs = FIRST_RETRY_MS;
  #retry: ReturnType<typeof setTimeout> | undefined;
  #readings = new Map<string, Reading>();
  #taken = 0;
  #clock: ReturnType<typeof setTimeout> | undefined;
  /** Events that came, and are not in the view yet. */
  #arrived: StoredEvent[] = [];
  #foldedAt = Number.NEGATIVE_INFINITY;
  #folding: ReturnType<typeof setTimeout> | undefined;
  /** The query that is being asked for, and its events that came meanwhile. */
  #asking: { name: string; since: StoredEvent[]; abort: AbortController } | undefined;
  readonly #listeners = new Set<() => void>();

  constructor(readonly id: string) {}

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    if (this.#listeners.size === 1) this.#begin();
    return () => {
      this.#listeners.delete(listener);
      if (this.#listeners.size === 0) this.#end();
    };
  };

  readonly shown = (): Shown => this.#shown;

  readonly retry = (): void => {
    this.#end();
    if (this.#listeners.size > 0) this.#begin();
  };

  readonly setPaused = (isPaused: boolean): void => {
    if (isPaused === this.#shown.isPaused) return;
    if (isPaused) this.#show({ isPaused });
    else this.#show({ isPaused, held: 0, ...this.#current() });
  };

  #begin(): void {
    void this.#load();
  }

  #end(): void {
    clearTimeout(this.#retry);
    clearTimeout(this.#clock);
    this.#clock = undefined;
    this.#forgetArrived();
    this.#loading?.abort();
    this.#asking?.abort.abort();
    this.#asking = undefined;
    this.#stream?.close();
    this.#stream = undefined;
  }

  async #load(): Promise<void> {
    this.#loading?.abort();
    const loading = new AbortController();
    this.#loading = loading;
    try {
      const session = await get<Session>(path(["v1", "sessions", this.id]), loading.signal);
      if (loading.signal.aborted) return;
      this.#retryMs = FIRST_RETRY_MS;
      this.#take(session);
    } catch (error) {
      if (loading.signal.aborted) return;
      this.#fail(error instanceof Error ? error : new Error(String(error)));
    }
  }

  #take(session: Session): void {
    const view = viewOf(session);
    const missing = session.truncatedAfter === undefined ? 0 : session.counts.events - VIEW_EVENTS;
    const isSkipping = missing > MOST_CAUGHT_UP;
    this.#view = isSkipping ? skippedTo(view, session.seq) : view;
    this.#readings.clear();
    for (const name of Object.keys(session.queries)) this.#touch(name);
    // What is looked at while the page is paused stays what it was.
    const shown = this.#shown.isPaused && this.#shown.session !== undefined ? {} : this.#current();
    this.#show({ ...shown, error: null, gone: false, skipped: isSkipping ? missing : 0 });
    if (this.#stream === undefined) this.#follow(this.#view.at, session.log);
  }

  #follow(after: number, log: string): void {
    this.#stream = openStream<StoredEvent>({
      url: path(["v1", "sessions", this.id, "stream"]),
      after,
      log,
      onState: (state) => {
        if (state !== "closed") this.#show({ state });
      },
      onFrames: (frames) => this.#receive(frames),
      onGap: () => this.#reload(),
      onRefused: (error) => this.#fail(error),
    });
  }

  /** Takes a new snapshot, and says so: something may have been missed. */
  #reload(): void {
    this.#stream?.close();
    this.#stream = undefined;
    this.#asking?.abort.abort();
    this.#asking = undefined;
    this.#forgetArrived();
    this.#show({ reloads: this.#shown.reloads + 1 });
    void this.#load();
  }

  #fail(error: Error): void {
    if (error instanceof ApiError && error.status === 404 && this.#shown.session !== undefined) {
      this.#end();
      this.#show({ gone: true, state: "closed" });
      return;
    }
    this.#show({ error: this.#shown.session === undefined ? error : null, state: "away" });
    if (!(error instanceof ApiError && error.isPassing)) {
      this.#show({ error });
      return;
    }
    this.#retry = setTimeout(() => void this.#load(), this.#retryMs);
    this.#retryMs = Math.min(this.#retryMs * 2, LONGEST_RETRY_MS);
  }

  /** Takes what came into the view: of a large query less often than it comes. */
  #receive(frames: Frame<StoredEvent>[]): void {
    const view = this.#view;
    if (view === undefined) return;
    const queries = new Set<string>();
    for (const { data } of frames) {
      this.#arrived.push(data);
      queries.add(data.query ?? "");
    }
    if (this.#folding !== undefined) return;
    let entries = 0;
    for (const name of queries) {
      entries += (name === "" ? view.session.events : ownQuery(view.session, name)?.events)?.length ?? 0;
    }
    const pause = this.#foldedAt + foldPause(entries) - Date.now();
    if (pause <= 0) this.#fold();
    else this.#folding = setTimeout(() => this.#fold(), pause);
  }

  #forgetArrived(): void {
    clearTimeout(this.#folding);
    this.#folding = undefined;
    this.#arrived = [];
  }

  #fold(): void {
    const events = this.#arrived;
    this.#forgetArrived();
    this.#foldedAt = Date.now();
    const before = this.#view;
    if (before === undefined) return;
    if (events.some((event) => event.type === "session.deleted" || event.type === "session.moved")) {
      this.#end();
      this.#show({ gone: true, state: "closed" });
      return;
    }
    const fresh = events.filter((event) => positionOf(event) > before.at);
    const after = fold(before, fresh);
    this.#view = after;
    const asking = this.#asking;
    if (asking !== undefined) asking.since.push(...fresh.filter((event) => event.query === asking.name));
    const now = Date.now();
    for (const name of new Set(fresh.map((event) => event.query ?? ""))) {
      this.#touch(name);
      if (name === "") continue;
      const isPhaseNew = ownQuery(before.session, name)?.phase !== ownQuery(after.session, name)?.phase;
      this.#readings.set(name, afterEvents(this.#readings.get(name) ?? UNREAD, now, isPhaseNew));
    }
    this.#wind();
    this.#show(this.#shown.isPaused ? { held: this.#shown.held + fresh.length } : this.#current());
  }

  /** Sets the clock to the next query that is to be asked for. */
  #wind(): void {
    if (this.#clock !== undefined || this.#asking !== undefined || this.#view === undefined) return;
    let next: { name: string; when: number } | undefined;
    for (const [name, reading] of this.#readings) {
      const when = nextReading(reading, ownQuery(this.#view.session, name)?.events.length ?? 0);
      if (when !== undefined && (next === undefined || when < next.when)) next = { name, when };
    }
    if (next === undefined) return;
    const pause = Math.max(100, next.when - Date.now());
    // Looked at again soon: events that come meanwhile may put it off.
    this.#clock = setTimeout(() => this.#tick(), Math.min(pause, 500));
  }

  #tick(): void {
    this.#clock = undefined;
    const view = this.#view;
    if (view === undefined) return;
    const now = Date.now();
    for (const [name, reading] of this.#readings) {
      const when = nextReading(reading, ownQuery(view.session, name)?.events.length ?? 0);
      if (when !== undefined && when <= now) {
        void this.#ask(name, reading);
        return;
      }
    }
    this.#wind();
  }

  async #ask(name: string, reading: Reading): Promise<void> {
    const asking = { name, since: [] as StoredEvent[], abort: new AbortController() };
    this.#asking = asking;
    const began = Date.now();
    this.#readings.set(name, afterAsking(reading, began));
    try {
      const url = path(["v1", "queries", name], { session: this.id });
      const answer = await get<QueryAnswer>(url, asking.abort.signal);
      if (this.#asking !== asking || this.#view === undefined) return;
      const after = reconcile(this.#view, answer, asking.since);
      this.#note(name, began, answer.truncated === true);
      // No new revision: nothing happened, what had happened is known better.
      if (after !== this.#view) {
        this.#view = after;
        this.#taken += 1;
        if (!this.#shown.isPaused) this.#show(this.#current());
      }
    } catch (error) {
      if (asking.abort.signal.aborted) return;
      // What was folded stands; the next event of the query, or the next snapshot, asks again.
      this.#note(name, began, error instanceof ApiError && !error.isPassing);
    }
    if (this.#asking === asking) this.#asking = undefined;
    this.#wind();
  }

  #note(name: string, began: number, isTooLarge: boolean): void {
    const reading = this.#readings.get(name) ?? UNREAD;
    this.#readings.set(name, { ...reading, took: Date.now() - began, isTooLarge });
  }

  #touch(name: string): void {
    const known = Object.hasOwn(this.#revisions, name) ? (this.#revisions[name] ?? 0) : 0;
    this.#revisions = { ...this.#revisions, [name]: known + 1 };
  }

  #current(): Partial<Shown> {
    const view = this.#view;
    if (view === undefined) return {};
    return {
      session: view.session,
      failures: view.failures,
      newest: view.newest,
      revisions: this.#revisions,
      readings: this.#taken,
    };
  }

  #show(changed: Partial<Shown>): void {
    this.#shown = { ...this.#shown, ...changed };
    for (const listener of this.#listeners) listener();
  }
}
