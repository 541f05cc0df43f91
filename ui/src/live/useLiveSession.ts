import { useMemo, useSyncExternalStore } from "react";
import { SessionStore, type Shown } from "./store";

export interface LiveSession extends Shown {
  retry(): void;
  /** A page that is paused shows what it showed; what comes meanwhile is kept for later. */
  setPaused(isPaused: boolean): void;
}

/** A session's view, and what happens in it from then on. */
export function useLiveSession(id: string): LiveSession {
  const store = useMemo(() => new SessionStore(id), [id]);
  const shown = useSyncExternalStore(store.subscribe, store.shown);
  return useMemo(() => ({ ...shown, retry: store.retry, setPaused: store.setPaused }), [shown, store]);
}
