import type { StoredEvent } from "../../../api/types";
import { positionOf } from "../../../live/fold";

/** Where an event is shown as it is stored: in its own session, which a trace's events need not share, else in `sessionId`. */
export function rawOf(event: StoredEvent, sessionId: string): string {
  return `/ui/sessions/${encodeURIComponent(event.sessionId ?? sessionId)}/raw?event=${positionOf(event)}`;
}
