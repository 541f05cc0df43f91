import type { QueryClient } from "@tanstack/react-query";
import type { Draft } from "./answerSchema";

/**
 * Answers that are being written, by question. A form goes out of the page when it is scrolled out of sight or another tab
 * is looked at: what was written in it is kept for as long as the page lives, or until somebody logs out.
 */
const DRAFTS = ["answer being written"] as const;

const keyOf = (questionId: string) => [...DRAFTS, questionId];

export function keptDraft(client: QueryClient, questionId: string): Draft | undefined {
  return client.getQueryData<Draft>(keyOf(questionId));
}

export function keepDraft(client: QueryClient, questionId: string, draft: Draft): void {
  // Nothing observes a draft: it would be thrown away after a while.
  client.setQueryDefaults(DRAFTS, { gcTime: Number.POSITIVE_INFINITY });
  client.setQueryData(keyOf(questionId), draft);
}

/** The question has its answer, or needs none. */
export function dropDraft(client: QueryClient, questionId: string): void {
  client.removeQueries({ queryKey: keyOf(questionId), exact: true });
}
