import { useQuery } from "@tanstack/react-query";
import { useEffect, useRef, useState } from "react";
import { useSearchParams } from "react-router";
import { get, path } from "../../../api/http";
import type { EventPage } from "../../../api/types";
import { positionOf } from "../../../live/fold";
import { Failure, Loading, Notice } from "../../../parts/Notice";
import { useChoice } from "../../../parts/useChoice";
import type { TabProps } from "../Session";
import { EventDetail } from "./EventDetail";
import { EventList } from "./EventList";
import styles from "./Raw.module.css";
import { RawBar } from "./RawBar";
import { beforeNewest, useEventLog } from "./useEventLog";

/** Events that are shown before the one that was asked for. */
const CONTEXT = 40;
const SETTLE_MS = 1_000;

/**
 * The events of a session, as they are stored. `?type=` and `?query=` filter, `?event=` is the position, in the session, of
 * the one that is looked at.
 */
export function RawTab({ id, live }: TabProps) {
  const [parameters, setParameters] = useSearchParams();
  const type = parameters.get("type") ?? "";
  const query = parameters.get("query") ?? "";
  const [chosen, choose] = useChoice(parameters.get("event") ?? undefined, (seq) => set({ event: seq }));
  const event = positionIn(chosen);
  // Chosen once: the list does not begin anew with every event that is chosen in it.
  const [begin, setBegin] = useState(() => (event === undefined ? 0 : Math.max(0, event - CONTEXT)));
  const [isFollowing, setFollowing] = useState(false);

  const set = (changes: Record<string, string | undefined>) => {
    setParameters(
      (before) => {
        for (const [name, value] of Object.entries(changes)) {
          if (value === undefined || value === "") before.delete(name);
          else before.set(name, value);
        }
        return before;
      },
      { replace: true },
    );
  };
  const goToNewest = async () => {
    setBegin(await beforeNewest(id, live.session?.seq ?? 0, type, query));
    setFollowing(true);
  };
  return (
    <div className={styles.tab}>
      <RawBar
        type={type}
        query={query}
        queries={Object.keys(live.session?.queries ?? {})}
        begin={begin}
        isFollowing={isFollowing}
        onFilter={(changes) => {
          setFollowing(false);
          setBegin(0);
          set(changes);
        }}
        onBeginning={() => {
          setFollowing(false);
          setBegin(0);
        }}
        onNewest={goToNewest}
      />
      <Events
        key={`${begin} ${type} ${query}`}
        id={id}
        live={live}
        begin={begin}
        type={type}
        query={query}
        selected={event}
        isFollowing={isFollowing}
        onFollow={setFollowing}
        onSelect={(seq) => choose(seq === undefined ? undefined : String(seq))}
      />
    </div>
  );
}

interface EventsProps extends TabProps {
  begin: number;
  type: string;
  query: string;
  selected: number | undefined;
  isFollowing: boolean;
  onFollow(isFollowing: boolean): void;
  onSelect(seq: number | undefined): void;
}

function Events({ id, live, begin, type, query, selected, isFollowing, onFollow, onSelect }: EventsProps) {
  const log = useEventLog({ session: id, after: begin, type, query });
  // What comes lies behind the page that is read next: that is read when the list is scrolled there.
  useGrowth(live.revisions, () => {
    if (!log.more || log.isLoading) log.load();
  });
  const inList = log.events.find((each) => positionOf(each) === selected);
  const alone = useQuery({
    queryKey: ["event", id, selected],
    queryFn: ({ signal }) =>
      get<EventPage>(
        path(["v1", "sessions", id, "events"], { after: (selected ?? 1) - 1, limit: 1 }),
        signal,
      ),
    enabled: selected !== undefined && inList === undefined,
  });
  const fetched = alone.data?.items.find((each) => positionOf(each) === selected);
  const event = inList ?? fetched;
  if (log.events.length === 0 && log.error !== undefined)
    return <Failure error={log.error} retry={log.load} />;
  return (
    <div className={styles.body}>
      {log.events.length > 0 ? (
        <EventList
          log={log}
          selected={selected}
          isFollowing={isFollowing}
          onFollow={onFollow}
          onSelect={onSelect}
        />
      ) : log.more || log.isLoading ? (
        <Loading what="events" />
      ) : (
        <Notice title="No such events">
          <p>
            {type === "" && query === "" ? "Nothing is stored here." : "Nothing stored here is like that."}
          </p>
        </Notice>
      )}
      {event !== undefined && (
        <EventDetail event={event} sessionId={id} onClose={() => onSelect(undefined)} />
      )}
      {selected !== undefined && event === undefined && alone.isSuccess && (
        <aside className={styles.detail}>
          <Notice title={`Event ${selected} is not in this session`} />
        </aside>
      )}
    </div>
  );
}

/** Reads on, not too often, whenever something happened in the session. */
function useGrowth(revisions: Readonly<Record<string, number>>, load: () => void): void {
  const newest = useRef(load);
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  const first = useRef(revisions);
  useEffect(() => {
    newest.current = load;
  });
  useEffect(() => {
    if (first.current === revisions || timer.current !== undefined) return;
    timer.current = setTimeout(() => {
      timer.current = undefined;
      newest.current();
    }, SETTLE_MS);
  }, [revisions]);
  useEffect(() => {
    return () => {
      clearTimeout(timer.current);
      timer.current = undefined;
    };
  }, []);
}

function positionIn(text: string | undefined): number | undefined {
  return text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : undefined;
}
