import type { Question, StoredEvent } from "../../api/types";

/** Many questions at once are one look at them. */
const SETTLE_MS = 300;
/** Between two looks, at least; more where an answer takes long. */
export const PAUSE_MS = 1_000;
const SHARE = 1 / 4;

/** States of a task that ask for something. */
const ASKING: ReadonlySet<string> = new Set(["input_required", "auth_required"]);

/**
 * Whether something may have happened to a question. Each event of a task has the name of one, which there is only where
 * the task asks; `open` are those that are known to wait, undefined where that is not known.
 */
export function concernsQuestion(
  event: Pick<StoredEvent, "type" | "questionId" | "taskState">,
  open: readonly Question[] | undefined,
): boolean {
  const { type, questionId, taskState } = event;
  if (questionId === undefined) return false;
  if (type !== "task.updated" || open === undefined) return true;
  return (taskState !== undefined && ASKING.has(taskState)) || open.some((each) => each.id === questionId);
}

export interface Rereading {
  /** Something happened: look again, soon. */
  want(): void;
  stop(): void;
}

/** Reads again, one at a time, and never two within a second; what happens during one is seen by the next. */
export function rereading(read: () => Promise<unknown>): Rereading {
  let timer: ReturnType<typeof setTimeout> | undefined;
  let isReading = false;
  let isWanted = false;
  let isOver = false;
  let freeAt = 0;

  const look = async () => {
    timer = undefined;
    isWanted = false;
    isReading = true;
    const began = Date.now();
    try {
      await read();
    } finally {
      isReading = false;
      const now = Date.now();
      freeAt = Math.max(began + PAUSE_MS, now + (now - began) / SHARE);
      if (isWanted) want();
    }
  };

  const want = () => {
    isWanted = true;
    if (isReading || isOver) return;
    timer ??= setTimeout(() => void look(), Math.max(SETTLE_MS, freeAt - Date.now()));
  };

  return {
    want,
    stop() {
      isOver = true;
      clearTimeout(timer);
    },
  };
}
