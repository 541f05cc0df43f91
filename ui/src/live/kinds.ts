import type { Entry, Phase, StoredEvent } from "../api/types";
import { moment } from "../format";

export const TOOL_TYPES: ReadonlySet<string> = new Set(["tool.call", "tool.result", "tool.failed"]);

/** Reports of a moment in a query's life: as a span such a report may reach back, what it reports was at its end. */
const MOMENTS: ReadonlySet<string> = new Set([
  "query.waiting",
  "query.resumed",
  "query.completed",
  "query.failed",
  "query.canceled",
]);

/** What a query does between chunks: it ends a run of them. */
const INTERRUPTING: ReadonlySet<string> = new Set([
  ...TOOL_TYPES,
  ...MOMENTS,
  "query.started",
  "question.asked",
  "question.answered",
  "agent.started",
  "agent.completed",
  "agent.failed",
  "llm.request",
  "task.updated",
  "artifact.updated",
  "message.added",
]);

/** A span under one of these names says that something happened, not how long it took. */
const INSTANT: ReadonlySet<string> = new Set([
  "query.started",
  "query.waiting",
  "query.resumed",
  "question.asked",
  "question.answered",
  "agent.started",
]);

const PHASES: Readonly<Record<string, Phase>> = {
  "query.started": "running",
  "query.resumed": "running",
  "query.waiting": "waiting",
  "query.completed": "done",
  "query.failed": "error",
  "query.canceled": "canceled",
};

const ANSWERS: ReadonlySet<string> = new Set(["question.answered", "question.expired", "question.canceled"]);

export function interrupts(type: string): boolean {
  return INTERRUPTING.has(type);
}

export function isOver(phase: Phase): boolean {
  return phase === "done" || phase === "error" || phase === "canceled";
}

/** The phase of a query in which this happened while it was in phase `before`. */
export function phaseAfter(before: Phase, event: StoredEvent): Phase {
  const told = Object.hasOwn(PHASES, event.type) ? PHASES[event.type] : undefined;
  if (told === "done" && (event.status === "error" || event.error !== undefined)) return "error";
  // The order of arrival is not the order of time: a beginning that is told of late opens nothing again.
  if (event.type === "query.started" && isOver(before)) return before;
  if (told !== undefined) return before === "error" && told === "canceled" ? before : told;
  if (before === "waiting" && ANSWERS.has(event.type)) return "running";
  return before === "pending" ? "running" : before;
}

/** When it happened, in milliseconds: the start of work, and the end for a report of a moment. */
export function momentOf(event: StoredEvent): number {
  return (moment(event.time) ?? 0) + (MOMENTS.has(event.type) ? (event.duration ?? 0) : 0);
}

/** Milliseconds that its span tells it took; undefined for what takes no time. */
export function lengthOf(event: StoredEvent): number | undefined {
  return event.duration !== undefined && event.duration > 0 && !INSTANT.has(event.type)
    ? event.duration
    : undefined;
}

/** Whether an entry tells of something that went wrong. */
export function isFailed(entry: Entry): boolean {
  return entry.status === "error" || entry.error !== undefined || entry.type.endsWith(".failed");
}
