import clsx from "clsx";
import { memo } from "react";
import { Link } from "react-router";
import type { SessionSummary } from "../../api/types";
import { ago, brief, count, dateTime, dollars, duration, moment } from "../../format";
import { Status } from "../../parts/Status";
import type { Row } from "./list";
import { Phases } from "./Phases";
import styles from "./Sessions.module.css";
import { Sparkline } from "./Sparkline";

/** The columns, in the order of the cells of a row. */
export const COLUMNS: readonly { key: string; name: string; look?: string | undefined }[] = [
  { key: "status", name: "Status", look: styles.cellStatus },
  { key: "session", name: "Session", look: styles.cellSession },
  { key: "agents", name: "Agents", look: styles.cellAgents },
  { key: "queries", name: "Queries", look: styles.cellQueries },
  { key: "tokens", name: "Tokens in / out", look: styles.cellTokens },
  { key: "cost", name: "Cost", look: styles.cellCost },
  { key: "duration", name: "Duration", look: styles.cellDuration },
  { key: "activity", name: "Activity", look: styles.cellSpark },
  { key: "last", name: "Last", look: styles.cellLast },
];

/** A session is new to the eye for this long. */
const NEW_MS = 4_000;

interface Props {
  row: Row;
  /** Its place in the list, from 0. */
  index: number;
  top: number;
  height: number;
  now: number;
  /** The one row that the tab key reaches. */
  isCurrent: boolean;
  register(id: string, link: HTMLAnchorElement | null): void;
  onFocus(id: string): void;
}

/** A session. The link covers all of the row, so that it opens in a tab as any link does. */
export const SessionRow = memo(function SessionRow(props: Props) {
  const { row, index, top, height, now, isCurrent, register, onFocus } = props;
  const { session, leaving } = row;
  const isNew = now - (moment(session.firstActivity) ?? 0) < NEW_MS;
  return (
    <tr
      aria-rowindex={index + 2}
      className={clsx(styles.row, isNew && styles.rowNew, leaving !== undefined && styles.rowLeaving)}
      style={{ transform: `translateY(${top}px)`, height }}
    >
      <td className={clsx(styles.cell, styles.cellStatus)}>
        {leaving === "gone" ? <span className={styles.gone}>deleted</span> : <Status of={session.status} />}
      </td>
      <td className={clsx(styles.cell, styles.cellSession)}>
        <Link
          to={`/ui/sessions/${encodeURIComponent(session.id)}`}
          className={styles.link}
          tabIndex={isCurrent ? 0 : -1}
          ref={(link) => register(session.id, link)}
          onFocus={() => onFocus(session.id)}
          title={brief(session.id, 256)}
        >
          {brief(session.id)}
        </Link>
        <span className={styles.second}>{aside(session)}</span>
      </td>
      <td className={clsx(styles.cell, styles.cellAgents)}>
        <Names names={session.agents} />
        <span className={styles.second}>
          <Names names={session.models} />
        </span>
      </td>
      <td className={clsx(styles.cell, styles.cellQueries)}>
        <Phases counts={session.counts} />
      </td>
      <Figures session={session} now={now} />
    </tr>
  );
});

function Figures({ session, now }: { session: SessionSummary; now: number }) {
  const { tokens, activity } = session;
  const first = moment(session.firstActivity);
  const last = moment(session.lastActivity);
  const life = first === undefined || last === undefined ? undefined : last - first;
  const hasTokens = tokens.input + tokens.output > 0;
  return (
    <>
      <td className={clsx(styles.cell, styles.cellTokens)}>
        {hasTokens && (
          <span title={`${tokens.input} tokens in, ${tokens.output} out`}>
            {count(tokens.input)} <span className={styles.slash}>/</span> {count(tokens.output)}
            <span className={styles.unit}> tokens</span>
          </span>
        )}
      </td>
      <td className={clsx(styles.cell, styles.cellCost)} title={costTitle(session)}>
        {dollars(session.cost)}
      </td>
      <td className={clsx(styles.cell, styles.cellDuration)}>{duration(life)}</td>
      <td className={clsx(styles.cell, styles.cellSpark)}>
        <span className="visually-hidden">{several(session.counts.events, "event")}</span>
        {activity !== undefined && activity.length > 0 && <Sparkline activity={activity} />}
      </td>
      <td className={clsx(styles.cell, styles.cellLast)}>
        <time dateTime={session.lastActivity} title={dateTime(session.lastActivity)}>
          {ago(session.lastActivity, now)}
        </time>
      </td>
    </>
  );
}

function Names({ names = [] }: { names?: readonly string[] | undefined }) {
  const [first] = names;
  if (first === undefined) return null;
  return (
    <span
      className={styles.names}
      title={names
        .slice(0, 20)
        .map((name) => brief(name, 80))
        .join(", ")}
    >
      <span>{brief(first, 60)}</span>
      {names.length > 1 && <span className={styles.others}>+{names.length - 1}</span>}
    </span>
  );
}

/** What stands small beneath a session's id. */
function aside({ namespace, counts }: SessionSummary): string {
  const parts = [several(counts.events, "event")];
  if (namespace !== undefined) parts.unshift(brief(namespace, 40));
  if (counts.toolCalls > 0) parts.push(several(counts.toolCalls, "tool call"));
  return parts.join(" · ");
}

function several(number: number, what: string): string {
  return `${count(number)} ${what}${number === 1 ? "" : "s"}`;
}

function costTitle({ cost, estimatedCost, unpricedModels = [] }: SessionSummary): string | undefined {
  const parts: string[] = [];
  if (cost !== undefined && estimatedCost !== undefined)
    parts.push(`${dollars(estimatedCost)} of it from the price list`);
  if (unpricedModels.length > 0)
    parts.push(`without ${unpricedModels.map((name) => brief(name, 60)).join(", ")}`);
  return parts.length === 0 ? undefined : parts.join(", ");
}
