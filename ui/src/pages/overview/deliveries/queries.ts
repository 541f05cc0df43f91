import { keepPreviousData, queryOptions } from "@tanstack/react-query";
import { get, path } from "../../../api/http";
import type { DeadLetterPage, Delivery, EventPage, Me } from "../../../api/types";

const REFRESH_MS = 5_000;

/** Deliveries are about every namespace: only those who may look after all of them are told. */
export function mayLookAfter(me: Me | undefined): boolean {
  return me?.permissions.includes("admin") === true && me.namespaces === null;
}

export const deliveriesQuery = queryOptions({
  queryKey: ["deliveries"],
  queryFn: async ({ signal }) => (await get<{ items: Delivery[] }>("/v1/deliveries", signal)).items,
  refetchInterval: REFRESH_MS,
});

/** When that came which a delivery has not looked at yet; null: there is nothing. */
export const nextQuery = (position: number) =>
  queryOptions({
    queryKey: ["deliveries", "next", position],
    queryFn: async ({ signal }) => {
      const page = await get<EventPage>(path(["v1", "events"], { after: position, limit: 1 }), signal);
      const event = page.items[0];
      return event?.recordedAt ?? event?.time ?? null;
    },
    staleTime: Number.POSITIVE_INFINITY,
    gcTime: 60_000,
    // Of the next position it is not known yet: till then the older one's age is near enough.
    placeholderData: keepPreviousData,
  });

export const deadLettersQuery = (name: string) =>
  queryOptions({
    queryKey: ["deliveries", "dead", name],
    queryFn: ({ signal }) =>
      get<DeadLetterPage>(path(["v1", "deliveries", name, "dead"], { limit: 100 }), signal),
  });
