import type { Question } from "../api/types";
import { ago, dateTime, duration, moment, printable } from "../format";
import styles from "./AnswerForm.module.css";
import { JsonView } from "./JsonView";
import { Status } from "./Status";
import { useNow } from "./useNow";

const AT_DEADLINE = { fail: "expires", default: "is answered by default", escalate: "is escalated" } as const;

/** Who asks, since when, and until when. */
export function Asked({ question }: { question: Question }) {
  const now = useNow();
  const deadline = question.state === "open" ? moment(question.deadline) : undefined;
  return (
    <p className={styles.meta}>
      <Status of={question.state} />
      {question.askedBy !== undefined && <span>{printable(question.askedBy)} asks</span>}
      {question.askedAt !== undefined && (
        <time dateTime={question.askedAt} title={dateTime(question.askedAt)}>
          {ago(question.askedAt, now)}
        </time>
      )}
      {deadline !== undefined && question.escalatedAt === undefined && (
        <span
          className={deadline - now < 60_000 ? styles.urgent : undefined}
          title={dateTime(question.deadline)}
        >
          {AT_DEADLINE[question.onDeadline ?? "fail"]}{" "}
          {deadline > now ? `in ${duration(deadline - now)}` : "now"}
        </span>
      )}
      {question.escalatedAt !== undefined && <span className={styles.urgent}>escalated</span>}
      {question.blocking === false && <span>the query goes on meanwhile</span>}
      {question.secret === true && <span>the answer is not stored</span>}
    </p>
  );
}

/** What came of a question that is over. */
export function Outcome({ question, wasLate }: { question: Question; wasLate: boolean }) {
  const by = question.answeredBy;
  return (
    <div className={styles.outcome} role="status">
      {wasLate && (
        <p className={styles.late}>
          Somebody was faster:{" "}
          {question.state === "answered" ? "this is the answer that counts." : "it is over."}
        </p>
      )}
      {question.state === "answered" ? (
        <>
          <span className={styles.label}>
            Answered{by === undefined ? "" : ` by ${printable(by)}`}
            {question.endedAt !== undefined && (
              <span className={styles.optional}>{dateTime(question.endedAt)}</span>
            )}
          </span>
          {question.answer === undefined ? (
            <p className={styles.note}>The answer was handed over, and not stored.</p>
          ) : (
            <JsonView value={question.answer} />
          )}
        </>
      ) : (
        <p className={styles.note}>
          {question.state === "expired" ? "It expired" : "It was called off"}
          {question.endedAt === undefined ? "" : `, ${dateTime(question.endedAt)}`}
          {question.reason === undefined ? "." : `: ${printable(question.reason)}`}
        </p>
      )}
    </div>
  );
}
