import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useCallback, useEffect, useRef, useState } from "react";
import { get, path } from "../../api/http";
import type { SessionChange, SessionPage } from "../../api/types";
import { type LiveState, openStream } from "../../live/stream";
import { type Filters, parametersOf } from "./filters";
import { gather, type SetList } from "./gather";
import { EMPTY, firstPage, freeze, type NextPage, nextPage, type SessionList, settle } from "./list";

const PAGE = 60;

export interface LiveList {
  list: SessionList;
  /** What the list was asked for with; absent while there is none. */
  filters: Filters | undefined;
  /** Nothing is there yet. */
  isLoading: boolean;
  /** What is shown belongs to the filters before. */
  isStale: boolean;
  error: Error | null;
  retry(): void;
  state: LiveState;
  isLoadingMore: boolean;
  moreError: Error | undefined;
  loadMore(): void;
  setFrozen(frozen: boolean): void;
  settle(): void;
}

/** What was asked, and the beginning of the answer. */
interface Start {
  filters: Filters;
  parameters: Record<string, string | undefined>;
  page: SessionPage;
}

function readPage(start: Pick<Start, "parameters">, signal?: AbortSignal, next?: NextPage) {
  const url = path(["v1", "sessions"], { ...start.parameters, limit: PAGE, ...next });
  return get<SessionPage>(url, signal);
}

const startQuery = (filters: Filters) => ({
  queryKey: ["sessions", filters],
  queryFn: async ({ signal }: { signal: AbortSignal }): Promise<Start> => {
    const parameters = parametersOf(filters, Date.now());
    return { filters, parameters, page: await readPage({ parameters }, signal) };
  },
  // From the first page on the stream tells what changes.
  staleTime: Number.POSITIVE_INFINITY,
  gcTime: 60_000,
  placeholderData: keepPreviousData,
});

/** The sessions that pass the filters, live. */
export function useSessionList(filters: Filters): LiveList {
  const query = useQuery(startQuery(filters));
  const [list, setList] = useState<SessionList>(EMPTY);
  const [state, setState] = useState<LiveState>("connecting");
  const [refused, setRefused] = useState<Error>();
  const { refetch } = query;
  const start = query.isPlaceholderData ? undefined : query.data;
  const [shown, setShown] = useState<Start>();

  useEffect(() => {
    if (start === undefined) return;
    setList((before) => firstPage(start.page, before.frozen));
    setShown(start);
  }, [start]);

  useEffect(() => {
    if (shown === undefined) return;
    setRefused(undefined);
    const gathered = gather(shown.filters, (signal) => readPage(shown, signal), setList);
    const stream = openStream<SessionChange>({
      url: "/v1/stream",
      after: shown.page.seq,
      log: shown.page.log,
      onState: setState,
      onFrames: gathered.add,
      onGap: () => void refetch(),
      onRefused: setRefused,
    });
    return () => {
      stream.close();
      gathered.stop();
    };
  }, [shown, refetch]);

  const more = useMore(shown, list.next, setList);
  return {
    list,
    filters: shown?.filters,
    isLoading: shown === undefined,
    isStale: start !== shown,
    error: refused ?? query.error,
    retry: useCallback(() => void refetch(), [refetch]),
    state,
    ...more,
    setFrozen: useCallback((frozen: boolean) => setList((before) => freeze(before, frozen)), []),
    settle: useCallback(() => setList(settle), []),
  };
}

/** Reads the next page when it is asked to, one at a time. */
function useMore(start: Start | undefined, next: NextPage | undefined, setList: SetList) {
  const [isLoadingMore, setLoading] = useState(false);
  const [moreError, setError] = useState<Error>();
  const running = useRef<AbortController>(undefined);

  // biome-ignore lint/correctness/useExhaustiveDependencies: another beginning ends what the one before asked for
  useEffect(() => {
    setLoading(false);
    setError(undefined);
    return () => {
      running.current?.abort();
      running.current = undefined;
    };
  }, [start]);

  const loadMore = useCallback(async () => {
    if (start === undefined || next === undefined || running.current !== undefined) return;
    const request = new AbortController();
    running.current = request;
    setLoading(true);
    setError(undefined);
    try {
      const page = await readPage(start, request.signal, next);
      // A list that was cut short meanwhile goes on from elsewhere.
      const append = (before: SessionList) => (before.next === next ? nextPage(before, page) : before);
      if (running.current === request) setList(append);
    } catch (error) {
      if (running.current === request) setError(error instanceof Error ? error : new Error(String(error)));
    } finally {
      if (running.current === request) {
        running.current = undefined;
        setLoading(false);
      }
    }
  }, [start, next, setList]);

  return { isLoadingMore, moreError, loadMore: useCallback(() => void loadMore(), [loadMore]) };
}
