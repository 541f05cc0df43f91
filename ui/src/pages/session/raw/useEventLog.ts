import { useCallback, useEffect, useRef, useState } from "react";
import { get, path } from "../../../api/http";
import type { EventPage, StoredEvent } from "../../../api/types";

export interface Wanted {
  session: string;
  /** Events after this position. */
  after: number;
  type: string;
  query: string;
}

export interface EventLog {
  events: StoredEvent[];
  /** There is more to be read right now. */
  more: boolean;
  isLoading: boolean;
  error: Error | undefined;
  /** Reads the next page, also at the end: more may have come. */
  load(): void;
}

const PAGE = 500;
const NOTHING: StoredEvent[] = [];

/** Events of a session as they are stored, page by page from `after` on. Give it a key of what is wanted: it begins once. */
export function useEventLog({ session, after, type, query }: Wanted): EventLog {
  const [state, setState] = useState({ events: NOTHING, next: after, more: true });
  const [isLoading, setLoading] = useState(false);
  const [error, setError] = useState<Error>();
  const running = useRef<AbortController>(undefined);
  /** Asked for while a page was being read, which may not have what came since. */
  const isAskedAgain = useRef(false);

  const read = useCallback(
    async (from: number) => {
      if (running.current !== undefined) {
        isAskedAgain.current = true;
        return;
      }
      const own = new AbortController();
      running.current = own;
      setLoading(true);
      try {
        let page: EventPage | undefined;
        do {
          isAskedAgain.current = false;
          const parameters = { after: page?.next ?? from, limit: PAGE, type, query };
          const found: EventPage = await get<EventPage>(
            path(["v1", "sessions", session, "events"], parameters),
            own.signal,
          );
          setState((before) => ({
            events: found.items.length === 0 ? before.events : [...before.events, ...found.items],
            next: found.next,
            more: found.more,
          }));
          setError(undefined);
          page = found;
          // Where there is more, the list asks for it when it is scrolled there.
        } while (isAskedAgain.current && !page.more && !own.signal.aborted);
      } catch (failure) {
        if (!own.signal.aborted) setError(failure instanceof Error ? failure : new Error(String(failure)));
      } finally {
        if (running.current === own) {
          running.current = undefined;
          setLoading(false);
        }
      }
    },
    [session, type, query],
  );
  const { next } = state;
  const load = useCallback(() => void read(next), [read, next]);

  // The first page; and, where a filter left a page empty, the next one.
  const isEmpty = state.events.length === 0;
  useEffect(() => {
    if (isEmpty && state.more && error === undefined) void read(next);
  }, [isEmpty, state.more, error, read, next]);
  useEffect(() => {
    return () => {
      running.current?.abort();
      running.current = undefined;
    };
  }, []);
  return { events: state.events, more: state.more, isLoading, error, load };
}

/** Where to begin so that the newest events are seen: pages only go forward, so nearer places are tried first. */
export async function beforeNewest(
  session: string,
  seq: number,
  type: string,
  query: string,
): Promise<number> {
  for (let back = 500; back < seq; back *= 8) {
    const parameters = { after: seq - back, limit: PAGE, type, query };
    const page = await get<EventPage>(path(["v1", "sessions", session, "events"], parameters));
    if (page.items.length >= ENOUGH) return seq - back;
  }
  return 0;
}

const ENOUGH = 60;
