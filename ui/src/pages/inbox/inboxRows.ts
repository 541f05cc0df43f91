import type { Question } from "../../api/types";
import { moment } from "../../format";

export type InboxRow =
  | { kind: "heading"; key: string; title: string; count: number; hasMore?: boolean }
  | { kind: "question"; key: string; question: Question };

/** What waits, the most urgent first, and below it what is over, the latest first. */
export function inboxRows(open: Question[], recent: Question[], hasMore = false): InboxRow[] {
  const waiting = [...open].sort(byUrgency);
  const known = new Set(waiting.map((each) => each.id));
  const over = recent
    .filter((each) => each.state !== "open" && !known.has(each.id))
    .sort((one, other) => time(other.endedAt ?? other.askedAt) - time(one.endedAt ?? one.askedAt));
  const rows: InboxRow[] = [
    { kind: "heading", key: "#waiting", title: "Waiting", count: waiting.length, hasMore },
  ];
  for (const question of waiting) rows.push({ kind: "question", key: question.id, question });
  if (over.length > 0) {
    rows.push({ kind: "heading", key: "#over", title: "Recently over", count: over.length });
    for (const question of over) rows.push({ kind: "question", key: question.id, question });
  }
  return rows;
}

/** What nobody can answer here comes last; then escalated ones, then the nearest deadline, then the longest wait. */
function byUrgency(one: Question, other: Question): number {
  return (
    Number(one.answerable === false) - Number(other.answerable === false) ||
    Number(other.escalatedAt !== undefined) - Number(one.escalatedAt !== undefined) ||
    deadline(one) - deadline(other) ||
    time(one.askedAt) - time(other.askedAt) ||
    one.id.localeCompare(other.id)
  );
}

function deadline(question: Question): number {
  return moment(question.deadline) ?? Number.MAX_SAFE_INTEGER;
}

function time(said: string | undefined): number {
  return moment(said) ?? 0;
}

/** The question to go to from the one at `key`: `step` questions further, or the nearest there is. */
export function neighbour(rows: InboxRow[], key: string | undefined, step: number): string | undefined {
  const keys = rows.flatMap((row) => (row.kind === "question" ? [row.key] : []));
  const at = key === undefined ? -1 : keys.indexOf(key);
  if (at === -1) return keys[0];
  return keys[Math.min(keys.length - 1, Math.max(0, at + step))];
}

/** The one to answer after the one at `key`: the most urgent of the others. */
export function nextToAnswer(rows: InboxRow[], key: string | undefined): string | undefined {
  return rows.find(
    (row) =>
      row.kind === "question" &&
      row.key !== key &&
      row.question.state === "open" &&
      row.question.answerable !== false,
  )?.key;
}
