import { type UseQueryResult, useQueries, useQueryClient } from "@tanstack/react-query";
import { useMemo } from "react";
import { traceQuery } from "../../../api/queries";
import type { Query, Trace } from "../../../api/types";
import { isOver } from "../../../live/kinds";
import { useReread } from "../useReread";
import { useThrottled } from "../useThrottled";
import { arrange, spansOf } from "./layout";

/** What the query itself tells, its waits and its streams, is put among the spans at most this often, in milliseconds. */
const FRAME_MS = 250;
/** Of many spans less often: so many of them are put in their places in a millisecond, and most of the time is to be free. */
const SPANS_A_MS = 20;
const NONE: readonly string[] = [];

/** The waterfall of a query, over all its traces: read again, not too often, whenever `revision` has grown. */
export function useTimeline(query: Query | undefined, revision: number) {
  const client = useQueryClient();
  const traceIds = query?.traceIds ?? NONE;
  const isEnded = query !== undefined && isOver(query.phase);
  const found = useQueries({
    // What comes late to a query that is over makes its revision grow, as everything does: no other reading is needed.
    queries: traceIds.map((traceId) => ({ ...traceQuery(traceId), refetchOnWindowFocus: !isEnded })),
    combine: together,
  });
  const read = async () => {
    const filters = traceIds.map((traceId) => ({ queryKey: traceQuery(traceId).queryKey }));
    const isJoined = filters.some((filter) => client.isFetching(filter) > 0);
    // A reading that is under way is not given up for another one, which would take as long.
    await Promise.all(filters.map((filter) => client.invalidateQueries(filter, { cancelRefetch: false })));
    return !isJoined;
  };
  useReread(read, { key: "", revision, isOver: isEnded });

  const spans = useMemo(() => spansOf(found.traces), [found.traces]);
  const calm = useThrottled(query, Math.max(FRAME_MS, spans.rows.length / SPANS_A_MS));
  const timeline = useMemo(() => arrange(spans, calm), [spans, calm]);
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
