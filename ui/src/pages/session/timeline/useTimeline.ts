import { type UseQueryResult, useQueries, useQueryClient } from "@tanstack/react-query";
import { useEffect, useMemo, useRef } from "react";
import { traceQuery } from "../../../api/queries";
import type { Query, Trace } from "../../../api/types";
import { layOut } from "./layout";

/** Traces are read again at most this often while they grow. */
const SETTLE_MS = 1_200;
const NONE: readonly string[] = [];

/** The waterfall of a query, over all its traces: read again, not too often, whenever `revision` has grown. */
export function useTimeline(query: Query | undefined, revision: number) {
  const client = useQueryClient();
  const traceIds = query?.traceIds ?? NONE;
  const found = useQueries({ queries: traceIds.map(traceQuery), combine: together });
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  const read = useRef(revision);

  useEffect(() => {
    if (traceIds.length === 0 || read.current === revision || timer.current !== undefined) return;
    read.current = revision;
    timer.current = setTimeout(() => {
      timer.current = undefined;
      for (const traceId of traceIds)
        void client.invalidateQueries({ queryKey: traceQuery(traceId).queryKey });
    }, SETTLE_MS);
  }, [client, traceIds, revision]);
  useEffect(() => {
    return () => {
      clearTimeout(timer.current);
      timer.current = undefined;
    };
  }, []);

  const timeline = useMemo(() => layOut(found.traces, query), [found.traces, query]);
  return { timeline, ...found };
}

/** Those that are there, and what became of the others. */
function together(results: UseQueryResult<Trace>[]) {
  return {
    traces: results.flatMap(({ data }) => (data === undefined ? [] : [data])),
    isTruncated: results.some(({ data }) => data?.truncated === true),
    isLoading: results.some(({ isLoading }) => isLoading),
    error: results.find(({ error }) => error !== null)?.error ?? null,
    retry: () => {
      for (const { isError, refetch } of results) if (isError) void refetch();
    },
  };
}
