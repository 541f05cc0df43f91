import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useMemo } from "react";
import { get, path } from "../../api/http";
import type { Overview, SessionStatus } from "../../api/types";
import { type Filters, STATUSES } from "./filters";
import type { SessionList } from "./list";

export type StatusCounts = Partial<Record<SessionStatus | "all", number>>;

const REFRESH_MS = 4_000;
/** Figures by day are kept for ten years. */
const ALL_TIME_MS = 10 * 365 * 86_400_000;

/** How many sessions there are of each status. Absent is what cannot be told without reading all of them. */
export function useStatusCounts(filters: Filters, list: SessionList, isStale: boolean): StatusCounts {
  const isLoaded = list.next === undefined && list.cut === undefined;
  const isWhole = isLoaded && filters.status === undefined && !isStale;
  const isPlain = filters.q === undefined && filters.agent === undefined && filters.since === undefined;
  const { namespace } = filters;
  const figures = useQuery({
    queryKey: ["overview", "statuses", namespace],
    queryFn: ({ signal }) => {
      const since = new Date(Date.now() - ALL_TIME_MS).toISOString();
      return get<Overview>(path(["v1", "overview"], { since, bucket: "365d", namespace }), signal);
    },
    select: (overview) => overview.total.sessions,
    enabled: isPlain && !isWhole,
    refetchInterval: REFRESH_MS,
    placeholderData: keepPreviousData,
  });
  const own = useMemo(() => countStatuses(list), [list]);
  if (isWhole) return own;
  if (isPlain && figures.data !== undefined) {
    const { total, ...byStatus } = figures.data;
    return { ...byStatus, all: total };
  }
  if (filters.status !== undefined && isLoaded) return { [filters.status]: own.all ?? 0 };
  return {};
}

function countStatuses(list: SessionList): StatusCounts {
  const counts: StatusCounts = { all: 0 };
  for (const status of STATUSES) counts[status] = 0;
  for (const { session, leaving } of list.rows.values()) {
    if (leaving !== undefined) continue;
    counts[session.status] = (counts[session.status] ?? 0) + 1;
    counts.all = (counts.all ?? 0) + 1;
  }
  return counts;
}
