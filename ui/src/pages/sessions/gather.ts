import type { SessionChange, SessionPage } from "../../api/types";
import type { Frame } from "../../live/stream";
import { type Filters, passes } from "./filters";
import { applyChanges, type Change, type SessionList } from "./list";

/** Changes are shown this often at most, however many there are. */
const GATHER_MS = 200;
/** The broker is asked this often at most which sessions a search finds. */
export const ASK_AGAIN_MS = 1_500;

export type SetList = (change: (before: SessionList) => SessionList) => void;

/**
 * Puts frames into the list, some at a time, and asks the broker, by `read`, about those that it alone can judge: its
 * answer is the list's first page.
 */
export function gather(
  filters: Filters,
  read: (signal: AbortSignal) => Promise<SessionPage>,
  setList: SetList,
) {
  const ended = new AbortController();
  let pending: Frame<SessionChange>[] = [];
  let timer: ReturnType<typeof setTimeout> | undefined;
  let clock: ReturnType<typeof setTimeout> | undefined;
  let isAsking = false;
  /** Something came that the answer that is on its way may not have. */
  let isWanted = false;

  const ask = async () => {
    isAsking = true;
    clock = undefined;
    isWanted = false;
    try {
      const page = await read(ended.signal);
      const changes = page.items.map((session) => ({
        id: session.id,
        seq: session.seq,
        session,
        matches: true,
      }));
      setList((before) => applyChanges(before, changes));
    } catch {
      // The next change asks again; a broker that is away is told of by the stream's own state.
    } finally {
      isAsking = false;
      if (isWanted) askSoon();
    }
  };

  const askSoon = () => {
    isWanted = true;
    if (isAsking || ended.signal.aborted) return;
    clock ??= setTimeout(() => void ask(), ASK_AGAIN_MS);
  };

  const flush = () => {
    timer = undefined;
    const changes = pending.map((frame) => changeOf(frame, filters));
    pending = [];
    setList((before) => applyChanges(before, changes));
    if (changes.some((change) => change.matches === "if known")) askSoon();
  };

  return {
    add(frames: Frame<SessionChange>[]) {
      pending.push(...frames);
      timer ??= setTimeout(flush, GATHER_MS);
    },
    stop() {
      ended.abort();
      clearTimeout(timer);
      clearTimeout(clock);
    },
  };
}

function changeOf({ id: seq, data }: Frame<SessionChange>, filters: Filters): Change {
  if (data.gone) return { id: data.session.id, seq, matches: false };
  const session = { ...data.session, seq };
  const verdict = passes(session, filters, Date.now());
  return { id: session.id, seq, session, matches: verdict === "unknown" ? "if known" : verdict === "yes" };
}
