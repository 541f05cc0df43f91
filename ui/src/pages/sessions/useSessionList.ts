import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useCallback, useEffect, useRef, useState } from "react";
import { get, path } from "../../api/http";
import type { SessionChange, SessionPage } from "../../api/types";
import { type Frame, type LiveState, openStream } from "../../live/stream";
import { type Filters, parametersOf, passes } from "./filters";
import {
  applyChanges,
  type Change,
  EMPTY,
  firstPage,
  freeze,
  nextPage,
  type SessionList,
  settle,
} from "./list";

const PAGE = 60;
/** Changes are shown this often at most, however many there are. */
const GATHER_MS = 200;
/** The broker is asked this often at most which sessions a search finds. */
const ASK_AGAIN_MS = 1_500;

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

function readPage(start: Pick<Start, "parameters">, signal?: AbortSignal, cursor?: string) {
  const url = path(["v1", "sessions"], { ...start.parameters, limit: PAGE, cursor });
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
    const gathered = gather(shown, setList);
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

  const more = useMore(shown, list.cursor, setList);
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

type SetList = (change: (before: SessionList) => SessionList) => void;

/** Puts frames into the list, some at a time, and asks the broker about those that it alone can judge. */
function gather(start: Start, setList: SetList) {
  const ended = new AbortController();
  let pending: Frame<SessionChange>[] = [];
  let timer: ReturnType<typeof setTimeout> | undefined;
  let asking: ReturnType<typeof setTimeout> | undefined;

  const ask = async () => {
    try {
      const page = await readPage(start, ended.signal);
      const changes = page.items.map((session) => ({
        id: session.id,
        seq: session.seq,
        session,
        matches: true,
      }));
      setList((before) => applyChanges(before, changes));
    } catch {
      // The next change asks again; a broker that is away is told of by the stream's own state.
    } finally {
      asking = undefined;
    }
  };

  const flush = () => {
    timer = undefined;
    const changes = pending.map((frame) => changeOf(frame, start.filters));
    pending = [];
    setList((before) => applyChanges(before, changes));
    if (asking === undefined && changes.some((change) => change.matches === "if known")) {
      asking = setTimeout(() => void ask(), ASK_AGAIN_MS);
    }
  };

  return {
    add(frames: Frame<SessionChange>[]) {
      pending.push(...frames);
      timer ??= setTimeout(flush, GATHER_MS);
    },
    stop() {
      ended.abort();
      clearTimeout(timer);
      clearTimeout(asking);
    },
  };
}

function changeOf({ id: seq, data }: Frame<SessionChange>, filters: Filters): Change {
  if (data.gone) return { id: data.session.id, seq, matches: false };
  const session = { ...data.session, seq };
  const verdict = passes(session, filters, Date.now());
  return { id: session.id, seq, session, matches: verdict === "unknown" ? "if known" : verdict === "yes" };
}

/** Reads the next page when it is asked to, one at a time. */
function useMore(start: Start | undefined, cursor: string | undefined, setList: SetList) {
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
    if (start === undefined || cursor === undefined || running.current !== undefined) return;
    const request = new AbortController();
    running.current = request;
    setLoading(true);
    setError(undefined);
    try {
      const page = await readPage(start, request.signal, cursor);
      if (running.current === request) setList((before) => nextPage(before, page));
    } catch (error) {
      if (running.current === request) setError(error instanceof Error ? error : new Error(String(error)));
    } finally {
      if (running.current === request) {
        running.current = undefined;
        setLoading(false);
      }
    }
  }, [start, cursor, setList]);

  return { isLoadingMore, moreError, loadMore: useCallback(() => void loadMore(), [loadMore]) };
}
