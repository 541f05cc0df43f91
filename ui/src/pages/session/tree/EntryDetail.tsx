import { ChartNoAxesGantt, FileJson } from "lucide-react";
import type { ReactNode } from "react";
import { Link } from "react-router";
import type { Entry, Json } from "../../../api/types";
import { dateTime, dollars, duration, printable } from "../../../format";
import { Replay } from "../replay/Replay";
import { Content } from "./Content";
import { QuestionPanel } from "./QuestionPanel";
import styles from "./tree.module.css";
import { hasForm } from "./words";

interface Props {
  session: string;
  query: string;
  entry: Entry;
}

/** All there is to know of an entry. */
export function EntryDetail({ session, query, entry }: Props) {
  return (
    <div className={styles.detail} data-inner>
      {entry.error !== undefined && (
        <div className={styles.error}>
          <Content name="Error" value={entry.error} />
        </div>
      )}
      {hasForm(entry) && entry.questionId !== undefined && (
        <div className={styles.question}>
          <QuestionPanel session={session} questionId={entry.questionId} />
        </div>
      )}
      {entry.type === "stream" && <Replay session={session} query={query} entry={entry} />}
      {entry.message !== undefined && !hasForm(entry) && <Content name="Message" value={entry.message} />}
      {entry.input !== undefined && <Content name="Input" value={entry.input} />}
      {entry.output !== undefined && <Content name="Output" value={entry.output} />}
      <Facts entry={entry} />
      <Links session={session} query={query} entry={entry} />
    </div>
  );
}

function Facts({ entry }: { entry: Entry }) {
  const { tokens } = entry;
  const facts: [string, ReactNode][] = [
    ["Type", entry.type],
    ["Name", entry.name],
    ["Began", dateTime(entry.ts)],
    ["Took", duration(entry.duration)],
    ["First token after", duration(entry.timeToFirstToken)],
    ["Agent", entry.agent],
    ["Model", [entry.provider, entry.model].filter((each) => each !== undefined).join(" / ")],
    ["Tokens", typeof tokens === "object" ? figures({ ...tokens }) : undefined],
    ["Chunks", entry.chunks],
    ["Cost", entry.cost === undefined ? undefined : cost(entry.cost, entry.costBy)],
    ["Finish reason", entry.finishReason],
    ["MCP server", entry.mcpServer],
    ["Tool call", entry.toolCallId],
    ["Task", entry.taskId],
    ["Task state", entry.taskState],
    ["Question", entry.questionId],
    ["Stream", entry.stream],
    ["Span", entry.spanId],
  ];
  return (
    <dl className={styles.facts}>
      {facts
        .filter(([, value]) => value !== undefined && value !== "")
        .map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{typeof value === "string" ? printable(value) : value}</dd>
          </div>
        ))}
    </dl>
  );
}

function cost(value: number, by: string | undefined): string {
  return by === "table" ? `${dollars(value)}, by the price table` : dollars(value);
}

function figures(tokens: Record<string, Json>): string {
  return Object.entries(tokens)
    .map(([name, value]) => `${String(value)} ${name}`)
    .join(", ");
}

function Links({ session, query, entry }: Props) {
  const base = `/ui/sessions/${encodeURIComponent(session)}`;
  const of = query === "" ? "" : `query=${encodeURIComponent(query)}&`;
  return (
    <p className={styles.links}>
      {entry.spanId !== undefined && (
        <Link to={`${base}/timeline?${of}span=${encodeURIComponent(entry.spanId)}`}>
          <ChartNoAxesGantt size={14} aria-hidden /> Show in timeline
        </Link>
      )}
      {entry.seq !== undefined && (
        <Link to={`${base}/raw?${of}event=${entry.seq}`}>
          <FileJson size={14} aria-hidden /> Raw event
        </Link>
      )}
    </p>
  );
}
