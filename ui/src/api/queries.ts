import { QueryClient, queryOptions } from "@tanstack/react-query";
import { ApiError, get, path } from "./http";
import { readOpenQuestions } from "./openQuestions";
import type { Conversation, EventPage, Me, Question, QuestionPage, Session, Trace } from "./types";

/** Reads are repeated while the broker is away; what it refuses is shown at once. */
export function makeQueryClient(): QueryClient {
  return new QueryClient({
    defaultOptions: {
      queries: {
        retry: (failures, error) => error instanceof ApiError && error.isPassing && failures < 5,
        retryDelay: (failures) => Math.min(500 * 2 ** failures, 10_000),
        staleTime: 2_000,
        refetchOnWindowFocus: true,
      },
    },
  });
}

/** Who looks at the page; null: nobody that the broker knows. */
export const visitor = queryOptions({
  queryKey: ["me"],
  queryFn: async ({ signal }): Promise<Me | null> => {
    try {
      return await get<Me>("/v1/me", signal);
    } catch (error) {
      if (error instanceof ApiError && error.status === 401) return null;
      throw error;
    }
  },
  staleTime: 60_000,
});

/** The same for a page, which there is for somebody who is known alone. */
export const me = queryOptions({ ...visitor, select: (found) => found ?? undefined });

export const sessionQuery = (id: string) =>
  queryOptions({
    queryKey: ["session", id],
    queryFn: ({ signal }) => get<Session>(path(["v1", "sessions", id]), signal),
  });

/** What was said in a session; with a `query`, in that alone. */
export const conversationQuery = (id: string, query = "") =>
  queryOptions({
    queryKey: ["conversation", id, query],
    queryFn: ({ signal }) =>
      get<Conversation>(path(["v1", "sessions", id, "conversation"], { query }), signal),
  });

export const traceQuery = (traceId: string) =>
  queryOptions({
    queryKey: ["trace", traceId],
    queryFn: ({ signal }) => get<Trace>(path(["v1", "traces", traceId]), signal),
  });

export const eventsQuery = (id: string, after: number, query?: string) =>
  queryOptions({
    queryKey: ["events", id, after, query],
    queryFn: ({ signal }) =>
      get<EventPage>(path(["v1", "sessions", id, "events"], { after, limit: 500, query }), signal),
  });

export const openQuestions = queryOptions({
  queryKey: ["questions", "open"],
  queryFn: ({ signal }) => readOpenQuestions(signal),
});

export const questionQuery = (id: string) =>
  queryOptions({
    queryKey: ["question", id],
    queryFn: ({ signal }) => get<Question>(path(["v1", "questions", id]), signal),
  });

/** Those of a session: the newest thousand. */
export const sessionQuestions = (session: string) =>
  queryOptions({
    queryKey: ["questions", "session", session],
    queryFn: ({ signal }) => get<QuestionPage>(path(["v1", "questions"], { session, limit: 1000 }), signal),
  });

/** The newest ones, whatever came of them. */
export const recentQuestions = queryOptions({
  queryKey: ["questions", "recent"],
  queryFn: ({ signal }) => get<QuestionPage>(path(["v1", "questions"], { limit: 100 }), signal),
});
