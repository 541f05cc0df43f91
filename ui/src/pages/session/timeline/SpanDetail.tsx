import { CircleAlert, Maximize2, X } from "lucide-react";
import type { ReactNode } from "react";
import { Link } from "react-router";
import type { Json, StoredEvent } from "../../../api/types";
import { clock, count, dateTime, dollars, duration, printable } from "../../../format";
import { Button } from "../../../parts/Button";
import { Copy } from "../../../parts/Copy";
import { JsonView } from "../../../parts/JsonView";
import { rawOf } from "../raw/address";
import { type Row, tokensPerSecond } from "./layout";
import { CategoryIcon, wordOf } from "./looks";
import { attributesOf, inputOutput } from "./otlp";
import styles from "./Timeline.module.css";

interface Props {
  row: Row;
  now: number;
  sessionId: string;
  query: string;
  onClose(): void;
  onZoom(): void;
}

/** Everything that is known of a span. */
export function SpanDetail({ row, now, sessionId, query, onClose, onZoom }: Props) {
  const last = row.events.at(-1);
  const session = `/ui/sessions/${encodeURIComponent(sessionId)}`;
  // The report of the end says more than that of the beginning, and either may be the only one.
  const { input, output } = Object.assign({}, ...row.events.map(inputOutput)) as ReturnType<
    typeof inputOutput
  >;
  return (
    <aside className={styles.detail} aria-label="The chosen span">
      <header className={styles.detailHead}>
        <CategoryIcon row={row} />
        <h2>{printable(row.name === "" ? row.type : row.name)}</h2>
        <Button onClick={onZoom} aria-label="Zoom to this span" title="Zoom to this span">
          <Maximize2 size={14} aria-hidden />
        </Button>
        <Button onClick={onClose} aria-label="Close" title="Close">
          <X size={14} aria-hidden />
        </Button>
      </header>
      {row.error !== undefined && (
        <p className={styles.detailError}>
          <CircleAlert size={14} aria-hidden /> <span>{printable(row.error)}</span>
        </p>
      )}
      <dl className={styles.facts}>
        <Facts row={row} now={now} />
      </dl>
      {last !== undefined && (
        <p className={styles.links}>
          <Link to={`${session}?${new URLSearchParams({ query: last.query ?? query, span: row.id })}`}>
            Show in tree
          </Link>
          <Link to={rawOf(last, sessionId)}>Raw</Link>
          {row.events.slice(0, -1).map((event) => (
            <Link key={event.seq} to={rawOf(event, sessionId)}>
              Raw: {printable(event.type)}
            </Link>
          ))}
        </p>
      )}
      {input !== undefined && <Part title="Input" value={input} />}
      {output !== undefined && <Part title="Output" value={output} />}
      {last !== undefined && <Part {...attributesPart(last)} />}
      {row.marks.length > 0 && (
        <section>
          <h3>Events in it</h3>
          <ul className={styles.marks}>
            {row.marks.slice(0, 100).map((mark) => (
              <li key={mark.event.seq}>
                <Link to={rawOf(mark.event, sessionId)}>{printable(mark.event.type)}</Link>{" "}
                <span className="muted">+{duration(mark.time - row.start)}</span>
              </li>
            ))}
          </ul>
        </section>
      )}
    </aside>
  );
}

/** A span without attributes is shown as it was reported. */
function attributesPart(event: StoredEvent): { title: string; value: Json } {
  const attributes = attributesOf(event);
  return Object.keys(attributes).length > 0
    ? { title: "Attributes", value: attributes }
    : { title: "Report", value: event.body };
}

function Part({ title, value }: { title: string; value: Json }) {
  return (
    <section>
      <div className={styles.partHead}>
        <h3>{title}</h3>
        <Copy
          text={() => (typeof value === "string" ? value : JSON.stringify(value, null, 2))}
          label={`Copy ${title.toLowerCase()}`}
        />
      </div>
      <div className={styles.json}>
        <JsonView value={value} />
      </div>
    </section>
  );
}

function Facts({ row, now }: { row: Row; now: number }) {
  const last = row.events.at(-1);
  const begun = new Date(row.start).toISOString();
  const length = (row.end ?? now) - row.start;
  const speed = tokensPerSecond(row);
  const facts: [string, ReactNode][] = [
    ["Kind", `${wordOf(row)} · ${printable(row.type)}`],
    [
      "Began",
      <time key="began" dateTime={begun} title={dateTime(begun)}>
        {clock(begun)}
      </time>,
    ],
    ["Duration", row.end === undefined ? `${duration(length)}, running` : duration(length)],
  ];
  const add = (name: string, value: string | undefined) => {
    if (value !== undefined && value !== "") facts.push([name, printable(value)]);
  };
  if (row.below > 0) add("Self time", duration(row.selfTime));
  add("First token", duration(row.firstToken));
  if (row.inputTokens !== undefined || row.outputTokens !== undefined) {
    add("Tokens", `${count(row.inputTokens ?? 0)} in, ${count(row.outputTokens ?? 0)} out`);
  }
  add("Speed", speed === undefined ? undefined : `${count(speed)} tokens/s`);
  add("Cost", dollars(row.cost));
  add("Agent", last?.agent);
  add("Model", last?.model);
  add("Provider", last?.provider);
  add("Tool", last?.tool);
  add("MCP server", last?.mcpServer);
  add("Tool call", last?.toolCallId);
  add("Task", last?.taskId);
  add("Question", last?.questionId);
  if (row.kind === "span") add("Span", row.id);
  add("Parent span", row.isOrphan ? `${last?.parentSpanId ?? ""} (not reported)` : last?.parentSpanId);
  if (row.isSkewed) add("Clock", "It begins before its parent: the clocks of two machines differ.");
  return facts.map(([name, value]) => (
    <div key={name}>
      <dt>{name}</dt>
      <dd>{value}</dd>
    </div>
  ));
}
