import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useEffect, useMemo, useRef } from "react";
import { traceQuery } from "../../../api/queries";
import type { Query } from "../../../api/types";
import { layOut } from "./layout";

/** A trace is read again at most this often while it grows. */
const SETTLE_MS = 1_200;

/** The waterfall of a query: read again, not too often, whenever `revision` has grown. */
export function useTimeline(query: Query | undefined, revision: number) {
  const client = useQueryClient();
  const traceId = query?.traceId;
  const trace = useQuery({ ...traceQuery(traceId ?? ""), enabled: traceId !== undefined });
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  const seen = useRef({ traceId, revision });

  useEffect(() => {
    if (seen.current.traceId !== traceId) {
      clearTimeout(timer.current);
      timer.current = undefined;
      seen.current = { traceId, revision };
      return;
    }
    if (traceId === undefined || seen.current.revision === revision || timer.current !== undefined) return;
    seen.current = { traceId, revision };
    timer.current = setTimeout(() => {
      timer.current = undefined;
      void client.invalidateQueries({ queryKey: traceQuery(traceId).queryKey });
    }, SETTLE_MS);
  }, [client, traceId, revision]);
  useEffect(() => {
    return () => {
      clearTimeout(timer.current);
      timer.current = undefined;
    };
  }, []);

  const timeline = useMemo(() => layOut(trace.data, query), [trace.data, query]);
  return {
    timeline,
    trace: trace.data,
    isLoading: trace.isLoading,
    error: trace.error,
    retry: trace.refetch,
  };
}
