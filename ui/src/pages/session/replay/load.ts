import { get, path } from "../../../api/http";
import type { Entry, EventPage, StoredEvent } from "../../../api/types";

const PAGE = 1_000;
const TYPES = ["llm.chunk", "llm.usage", "llm.control", "llm.error"];
/** What is longer is played to here: the page keeps it in memory. */
export const MOST_CHUNKS = 50_000;

/** The chunks of one run, as they were recorded. `query` is "" for a run that belongs to none. Raises ApiError. */
export async function loadRun(
  session: string,
  query: string,
  entry: Entry,
  signal: AbortSignal,
): Promise<StoredEvent[]> {
  const wanted = Math.min(entry.chunks ?? MOST_CHUNKS, MOST_CHUNKS);
  const found: StoredEvent[] = [];
  let after = (entry.seq ?? 1) - 1;
  while (found.length < wanted) {
    const url = path(["v1", "sessions", session, "events"], { after, limit: PAGE, query });
    const types = TYPES.map((type) => `&type=${type}`).join("");
    const page = await get<EventPage>(url + types, signal);
    for (const event of page.items) {
      const stream = event.streamId ?? event.query ?? "";
      if (stream === (entry.stream ?? "") && found.length < wanted) found.push(event);
    }
    after = page.next;
    if (!page.more) break;
  }
  return found;
}
