import clsx from "clsx";
import { ChevronRight, CircleAlert, Wrench } from "lucide-react";
import type { Json } from "../../../api/types";
import { brief, printable } from "../../../format";
import { JsonView } from "../../../parts/JsonView";
import { Markdown } from "../../../parts/Markdown";
import styles from "./Conversation.module.css";
import type { Call, Turn } from "./transcript";

/** Markdown of this length is drawn as plain text: parsing it would hold the page up. */
const LONGEST_MARKDOWN = 60_000;

/** What one side said, and the tools that it called; `isContinued`: the same side spoke before. */
export function TurnView({ turn, isContinued }: { turn: Turn; isContinued: boolean }) {
  const isUser = turn.role === "user";
  const isHidden = turn.role === "system" || turn.role === "developer";
  const isTool = turn.role === "tool" || turn.role === "function";
  return (
    <article className={clsx(styles.turn, isUser && styles.user)} aria-label={`${turn.role} said`}>
      {!isTool && !isContinued && (
        <header className={styles.role}>
          {printable(turn.role)}
          {turn.name !== undefined && <span className={styles.name}>{printable(turn.name)}</span>}
        </header>
      )}
      {turn.reasoning !== undefined && <Folded title="Reasoning" text={turn.reasoning} />}
      {turn.text !== "" &&
        (isHidden ? (
          <Folded title={brief(turn.text, 120)} text={turn.text} />
        ) : (
          <div className={styles.said}>
            {isUser || turn.text.length > LONGEST_MARKDOWN ? (
              <p className={styles.plain}>{printable(turn.text)}</p>
            ) : (
              <Markdown text={turn.text} />
            )}
          </div>
        ))}
      {turn.refusal !== undefined && <p className={styles.refusal}>Refused: {printable(turn.refusal)}</p>}
      {turn.others.length > 0 && (
        <div className={styles.part}>
          <JsonView value={turn.others} />
        </div>
      )}
      {turn.calls.map((call) => (
        <CallView key={call.key} call={call} />
      ))}
    </article>
  );
}

function Folded({ title, text }: { title: string; text: string }) {
  return (
    <details className={styles.folded}>
      <summary>
        <ChevronRight size={13} aria-hidden />
        <span>{title}</span>
      </summary>
      <p className={styles.plain}>{printable(text)}</p>
    </details>
  );
}

/** A call in one line; opened, everything that went in and came out. */
function CallView({ call }: { call: Call }) {
  return (
    <details className={styles.call}>
      <summary>
        <ChevronRight size={13} aria-hidden />
        <Wrench size={13} aria-hidden className={styles.tool} />
        <span className={styles.toolTag}>tool</span>
        <span className={styles.callLine}>
          <b>{printable(call.name)}</b>
          <span className={styles.arguments}>({call.input === null ? "" : brief(call.input, 90)})</span>
          {call.output !== undefined && <> → {brief(call.output, 90)}</>}
          {call.error !== undefined && (
            <span className={styles.failed}>
              {" "}
              <CircleAlert size={13} aria-hidden className={styles.failedIcon} />{" "}
              <span className="visually-hidden">failed: </span>
              {brief(call.error, 120)}
            </span>
          )}
        </span>
        {call.output === undefined && call.error === undefined && (
          <span className={styles.pending}>no result</span>
        )}
      </summary>
      <div className={styles.callBody}>
        <Value title="Arguments" value={call.input} />
        {call.output !== undefined && <Value title="Result" value={call.output} />}
        {call.error !== undefined && <Value title="Error" value={call.error} />}
      </div>
    </details>
  );
}

function Value({ title, value }: { title: string; value: Json }) {
  return (
    <>
      <p className={styles.label}>{title}</p>
      <div className={styles.value}>
        <JsonView value={value} />
      </div>
    </>
  );
}
