import { describe, expect, it } from "vitest";
import type { Entry, QueryAnswer, StoredEvent } from "../api/types";
import { type LiveView, viewOf } from "./book";
import { fold } from "./fold";
import { reconcile } from "./reconcile";
import { empty, event } from "./samples";

const chunk = (seq: number, over: Partial<StoredEvent> = {}): StoredEvent =>
  event(seq, "llm.chunk", { kind: "chunk", streamId: "stream", ...over });

/** What the broker says of these events, up to the last of them. */
function answer(events: readonly StoredEvent[]): QueryAnswer {
  const { session } = fold(viewOf(empty()), events);
  const query = session.queries.q;
  if (query === undefined) throw new Error("nothing is told of the query");
  const told: Entry[] = query.events.map(({ text: _, ...entry }) => entry);
  return { ...query, name: "q", events: told, seq: session.seq, log: "log" };
}

const counted = ({ session }: LiveView) => [session.counts.events, session.counts.chunks];
const all = [event(1, "query.started"), chunk(2), event(3, "step"), chunk(4), chunk(5), event(6, "step")];

describe("the session's figures after a reading of a query", () => {
  it("have each event that was folded again once", () => {
    const view = fold(viewOf(empty()), all);
    const after = reconcile(view, answer(all.slice(0, 2)), all);
    expect(counted(view)).toEqual([6, 3]);
    expect(counted(after)).toEqual([6, 3]);
  });

  it("have those that the broker knew before the stream brought them", () => {
    const view = fold(viewOf(empty()), all.slice(0, 2));
    const after = reconcile(view, answer(all), []);
    expect(counted(after)).toEqual([6, 3]);
    expect(counted(fold(after, all.slice(2)))).toEqual([6, 3]);
    const next = [...all, chunk(7), event(8, "step")];
    expect(counted(fold(after, next.slice(2)))).toEqual([8, 4]);
  });

  it("stay right over several readings, the stream being late each time", () => {
    const events = Array.from({ length: 60 }, (_, at) => (at % 3 === 0 ? event(at + 1, "x") : chunk(at + 1)));
    let view = fold(viewOf(empty()), events.slice(0, 5));
    for (let at = 5; at + 10 <= events.length; at += 5) {
      const came = events.slice(at, at + 5);
      view = reconcile(view, answer(events.slice(0, at + 10)), []);
      view = fold(view, came);
    }
    expect(counted(fold(view, events.slice(-5)))).toEqual([60, 40]);
  });

  it("have events that came while it was asked, and events that it has before them", () => {
    const view = fold(viewOf(empty()), all.slice(0, 4));
    expect(counted(reconcile(view, answer(all.slice(0, 3)), all.slice(1, 4)))).toEqual([4, 2]);
    expect(counted(reconcile(view, answer(all.slice(0, 5)), all.slice(1, 4)))).toEqual([5, 3]);
  });

  it("have what happened in other queries", () => {
    const other = event(3, "query.started", { query: "other" });
    const view = fold(viewOf(empty()), [event(1, "query.started"), chunk(2), other]);
    const after = reconcile(view, answer([event(1, "query.started"), chunk(2), chunk(4)]), []);
    expect(counted(after)).toEqual([4, 2]);
  });

  it("are left as they are where they tell of more than is shown", () => {
    const counts = { ...empty().counts, queries: 1, phases: { running: 1 }, events: 6, chunks: 3 };
    const { queries } = fold(viewOf(empty()), all.slice(0, 2)).session;
    const view = viewOf({ ...empty(), queries, counts, seq: 6, truncatedAfter: 2 });
    expect(counted(reconcile(view, answer(all), []))).toEqual([6, 3]);
  });
});
