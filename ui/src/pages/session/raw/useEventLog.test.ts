// @vitest-environment jsdom
import { act, cleanup, renderHook } from "@testing-library/react";
import { afterEach, describe, expect, it, vi } from "vitest";
import type { EventPage, StoredEvent } from "../../../api/types";
import { useEventLog } from "./useEventLog";

const eventAt = (seq: number): StoredEvent => ({
  seq,
  id: `e${seq}`,
  kind: "event",
  type: "note",
  time: "2026-01-01T00:00:00Z",
  body: null,
});

/** A broker with one event, which answers when it is told to, with what it had when it was asked. */
function broker() {
  const stored = [eventAt(1)];
  const answers: (() => void)[] = [];
  vi.stubGlobal("fetch", (url: string) => {
    const after = Number(new URL(url, "http://broker").searchParams.get("after"));
    const items = stored.filter(({ seq }) => seq > after);
    const page: EventPage = { items, next: items.at(-1)?.seq ?? after, more: false, seq: 9, log: "log" };
    return new Promise<Response>((resolve) => {
      answers.push(() => resolve(new Response(JSON.stringify(page))));
    });
  });
  const answer = () => act(async () => answers.shift()?.());
  return { stored, answer, waiting: answers };
}

describe("the events of a session", () => {
  afterEach(() => {
    cleanup();
    vi.unstubAllGlobals();
  });

  it("are read again where more came while a page was read", async () => {
    const { stored, answer, waiting } = broker();
    const wanted = { session: "s", after: 0, type: "", query: "" };
    const { result } = renderHook(() => useEventLog(wanted));
    stored.push(eventAt(2));
    act(() => {
      result.current.load();
      result.current.load();
    });
    await answer();
    expect(result.current.events.map(({ seq }) => seq)).toEqual([1]);
    await answer();
    expect(result.current.events.map(({ seq }) => seq)).toEqual([1, 2]);
    expect(result.current.isLoading).toBe(false);
    expect(waiting).toHaveLength(0);
  });
});
