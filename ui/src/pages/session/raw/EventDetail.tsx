import { useQueries } from "@tanstack/react-query";
import { X } from "lucide-react";
import { Link } from "react-router";
import { ApiError, get, path } from "../../../api/http";
import type { Correlation, Json, StoredEvent } from "../../../api/types";
import { dateTime, duration, printable } from "../../../format";
import { positionOf } from "../../../live/fold";
import { Button } from "../../../parts/Button";
import { Copy } from "../../../parts/Copy";
import { JsonView } from "../../../parts/JsonView";
import { type Key, keysOf, namedBy, whyHere } from "./correlation";
import styles from "./Raw.module.css";

interface Props {
  event: StoredEvent;
  sessionId: string;
  onClose(): void;
}

/** An event as it is stored, whole, and why it is in this session. */
export function EventDetail({ event, sessionId, onClose }: Props) {
  const session = `/ui/sessions/${encodeURIComponent(sessionId)}`;
  const span = event.query === undefined || event.spanId === undefined ? undefined : spanSearch(event);
  return (
    <aside className={styles.detail} aria-label="The chosen event">
      <header className={styles.detailHead}>
        <h2>{printable(event.type)}</h2>
        <Copy text={() => JSON.stringify(event, null, 2)} label="Copy JSON" />
        <Button onClick={onClose} aria-label="Close" title="Close">
          <X size={14} aria-hidden />
        </Button>
      </header>
      <p className={styles.when}>
        #{positionOf(event)} · {dateTime(event.time)}
        {event.duration !== undefined && ` · ${duration(event.duration)}`}
      </p>
      {event.error !== undefined && <p className={styles.error}>{printable(event.error)}</p>}
      {span !== undefined && (
        <p className={styles.links}>
          <Link to={`${session}?${span}`}>Show in tree</Link>
          <Link to={`${session}/timeline?${span}`}>Show in timeline</Link>
        </p>
      )}
      <section className={styles.why} aria-label="Why it is in this session">
        <h3>Why it is here</h3>
        <p>
          {event.correlatedBy !== undefined && <code>{printable(event.correlatedBy)}</code>}{" "}
          {whyHere(event.correlatedBy)}
        </p>
        <Keys event={event} sessionId={sessionId} />
      </section>
      <section>
        <h3>As stored</h3>
        <div className={styles.json}>
          <JsonView value={{ ...event } as unknown as Json} depth={3} />
        </div>
      </section>
    </aside>
  );
}

function spanSearch(event: StoredEvent): string {
  return new URLSearchParams({ query: event.query ?? "", span: event.spanId ?? "" }).toString();
}

/** What each key of the event stands for. */
function Keys({ event, sessionId }: { event: StoredEvent; sessionId: string }) {
  const keys = keysOf(event);
  const found = useQueries({
    queries: keys.map((key) => ({
      queryKey: ["correlate", key.ask],
      queryFn: ({ signal }: { signal: AbortSignal }) =>
        get<Correlation>(path(["v1", "correlate"], key.ask), signal),
      staleTime: 30_000,
    })),
  });
  if (keys.length === 0) return null;
  return (
    <ul className={styles.keys}>
      {keys.map((key, at) => (
        <li key={key.name} className={key.rule === event.correlatedBy ? styles.decided : undefined}>
          <span className={styles.keyName}>{key.name}</span>
          <span className="mono">{printable(key.value)}</span>
          <span className={styles.leads}>
            <Leads of={key} link={found[at]?.data} error={found[at]?.error ?? null} sessionId={sessionId} />
          </span>
        </li>
      ))}
    </ul>
  );
}

interface LeadsProps {
  of: Key;
  link: Correlation | undefined;
  error: Error | null;
  sessionId: string;
}

function Leads({ link, error, sessionId }: LeadsProps) {
  if (error instanceof ApiError && error.status === 404) return "leads nowhere";
  if (error !== null) return `could not be looked up: ${error.message}`;
  if (link === undefined) return "…";
  const by = namedBy(link.namedBy);
  if (link.session === null) return "known, but nobody has named its session yet";
  const where = [link.session === sessionId ? "this session" : link.session, link.query];
  return (
    <>
      {"→ "}
      {link.session === sessionId ? (
        printable(where.filter((each) => each !== undefined && each !== null).join(", "))
      ) : (
        <Link to={`/ui/sessions/${encodeURIComponent(link.session)}`}>{printable(link.session)}</Link>
      )}
      {by !== "" && `, ${printable(by)}`}
    </>
  );
}
