import { useEffect, useMemo, useRef, useState } from "react";
import { useSearchParams } from "react-router";
import type { Query } from "../../../api/types";
import { Failure, Loading, Notice } from "../../../parts/Notice";
import { useChoice } from "../../../parts/useChoice";
import { useNow } from "../../../parts/useNow";
import type { TabProps } from "../Session";
import { visible } from "./layout";
import { SpanDetail } from "./SpanDetail";
import { newestFirst, shownQuery } from "./shownQuery";
import styles from "./Timeline.module.css";
import { TimelineBar } from "./TimelineBar";
import { useTimeline } from "./useTimeline";
import { useZoom } from "./useZoom";
import { Waterfall } from "./Waterfall";

const FRAME_MS = 250;
const NEVER_MS = 2_000_000_000;
const NO_QUERIES: Readonly<Record<string, Query>> = {};

/**
 * The spans of a query as a waterfall. `?query=` names the query (else it is the one that is the newest when the page is
 * opened), `?span=` the chosen span.
 */
export function TimelineTab({ id, live }: TabProps) {
  const [parameters, setParameters] = useSearchParams();
  const queries = live.session?.queries ?? NO_QUERIES;
  const names = useMemo(() => newestFirst(queries), [queries]);
  const opened = useRef<string>(undefined);
  const { name, newer } = shownQuery(parameters.get("query"), opened.current, names);
  opened.current = name;
  if (name === undefined) {
    return (
      <Notice title="No query yet">
        <p>The first query of this session appears here by itself.</p>
      </Notice>
    );
  }
  return (
    <QueryTimeline
      key={name}
      id={id}
      live={live}
      name={name}
      names={names}
      newer={newer}
      span={parameters.get("span") ?? undefined}
      onQuery={(query) => setParameters({ query }, { replace: true })}
      onSpan={(span) =>
        setParameters({ query: name, ...(span !== undefined && { span }) }, { replace: true })
      }
    />
  );
}

interface Props extends TabProps {
  name: string;
  names: string[];
  /** A query that began since this one was opened without being asked for. */
  newer: string | undefined;
  span: string | undefined;
  onQuery(name: string): void;
  onSpan(span: string | undefined): void;
}

function QueryTimeline({ id, live, name, names, newer, span, onQuery, onSpan }: Props) {
  const [selected, select] = useChoice(span, onSpan);
  const query = live.session?.queries[name];
  const { timeline, isTruncated, isLoading, error, retry } = useTimeline(query, live.revisions[name] ?? 0);
  const clockNow = useNow(timeline.isRunning ? FRAME_MS : NEVER_MS);
  // Producers' clocks may be ahead of this one.
  const now = timeline.isRunning ? Math.max(clockNow, timeline.end) : timeline.end;
  const [closed, setClosed] = useState<ReadonlySet<string>>(new Set());
  const zoom = useZoom(timeline.start, now);
  const shown = useMemo(() => visible(timeline.rows, closed), [timeline, closed]);
  const row = timeline.rows.find((each) => each.id === selected);

  // What is asked for by its address is not to lie in something closed.
  useEffect(() => {
    const above: string[] = [];
    const start = timeline.rows.find((each) => each.id === selected);
    for (let up = timeline.rows[start?.parent ?? -1]; up !== undefined; up = timeline.rows[up.parent]) {
      above.push(up.id);
    }
    setClosed((before) =>
      above.some((each) => before.has(each))
        ? new Set([...before].filter((each) => !above.includes(each)))
        : before,
    );
  }, [selected, timeline]);

  const toggle = (row: string, isOpen = closed.has(row)) => {
    const after = new Set(closed);
    if (isOpen) after.delete(row);
    else after.add(row);
    setClosed(after);
  };

  return (
    <div className={styles.tab}>
      <TimelineBar
        name={name}
        names={names}
        newer={newer}
        phase={query?.phase}
        zoom={zoom}
        isTruncated={isTruncated}
        onQuery={onQuery}
      />
      {timeline.rows.length === 0 ? (
        isLoading ? (
          <Loading what="the trace" />
        ) : error !== null ? (
          <Failure error={error} retry={retry} />
        ) : (
          <Notice title="No spans yet">
            <p>Nothing in this query took time so far: no span, no stream, no wait.</p>
          </Notice>
        )
      ) : (
        <div className={styles.body}>
          <Waterfall
            timeline={timeline}
            shown={shown}
            closed={closed}
            selected={selected}
            zoom={zoom}
            now={now}
            onSelect={select}
            onToggle={toggle}
          />
          {row !== undefined && (
            <SpanDetail
              row={row}
              now={now}
              sessionId={id}
              query={name}
              onClose={() => select(undefined)}
              onZoom={() => zoom.show(row.start, row.end ?? now)}
            />
          )}
        </div>
      )}
    </div>
  );
}
