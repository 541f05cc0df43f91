import { get, path } from "./http";
import type { Question, QuestionPage } from "./types";

/** Questions that wait, the newest first: all, or so many. */
export const MOST_OPEN = 2_000;
/** The most that the API gives at once. */
const PAGE = 1_000;

export interface OpenQuestions {
  items: Question[];
  /** There are more than these. */
  hasMore: boolean;
}

/** What a person can answer here, of what waits. */
export interface Waiting {
  count: number;
  hasMore: boolean;
}

/** Reads page after page. Raises ApiError. */
export async function readOpenQuestions(signal?: AbortSignal): Promise<OpenQuestions> {
  const found = new Map<string, Question>();
  let cursor: string | undefined;
  do {
    const limit = Math.min(PAGE, MOST_OPEN - found.size);
    const page = await get<QuestionPage>(path(["v1", "questions"], { state: "open", limit, cursor }), signal);
    for (const question of page.items) found.set(question.id, question);
    cursor = page.nextCursor;
  } while (cursor !== undefined && found.size < MOST_OPEN);
  return { items: [...found.values()], hasMore: cursor !== undefined };
}

export function waitingHere({ items, hasMore }: OpenQuestions): Waiting {
  return { count: items.filter((question) => question.answerable !== false).length, hasMore };
}
