import { useQuery, useQueryClient } from "@tanstack/react-query";
import clsx from "clsx";
import { ArrowLeft, ArrowRight } from "lucide-react";
import { useEffect, useMemo, useRef } from "react";
import { Link, useSearchParams } from "react-router";
import { openQuestions, questionQuery, recentQuestions } from "../../api/queries";
import { printable } from "../../format";
import { AnswerForm } from "../../parts/AnswerForm";
import { Button } from "../../parts/Button";
import { Failure, Loading, Notice } from "../../parts/Notice";
import { useChoice } from "../../parts/useChoice";
import styles from "./Inbox.module.css";
import { type InboxRow, inboxRows, nextToAnswer } from "./inboxRows";
import { QuestionList } from "./QuestionList";
import { useLiveQuestions } from "./useLiveQuestions";
import { useShownQuestion } from "./useShownQuestion";

/** Everything that waits for a person, in all sessions; answered in place. `?question=` names the one that is looked at. */
export function Inbox() {
  useLiveQuestions();
  const client = useQueryClient();
  const open = useQuery(openQuestions);
  const recent = useQuery(recentQuestions);
  const [parameters, setParameters] = useSearchParams();
  const detail = useRef<HTMLElement>(null);
  const [named, choose] = useChoice(parameters.get("question") ?? undefined, (question) =>
    setParameters(question === undefined ? {} : { question }, { replace: true }),
  );
  const rows = useMemo(
    () => inboxRows(open.data?.items ?? [], recent.data?.items ?? [], open.data?.hasMore),
    [open.data, recent.data],
  );
  // Before it is known what waits, nothing is the first.
  const first = open.data && rows.find((row) => row.kind === "question")?.key;
  const shown = useShownQuestion(named, first);
  useEffect(() => {
    document.title = "Inbox · Ark Broker";
    return () => {
      document.title = "Ark Broker";
    };
  }, []);

  if (open.data === undefined) {
    return open.error === null ? (
      <Loading what="the inbox" />
    ) : (
      <Failure error={open.error} retry={() => void open.refetch()} />
    );
  }
  const select = (id: string) => {
    // The list has the whole question: its form is there at once.
    const question = rows.find((row) => row.kind === "question" && row.key === id);
    if (question?.kind === "question") {
      client.setQueryData(questionQuery(id).queryKey, (known) => known ?? question.question);
    }
    choose(id);
  };
  if (shown === undefined) {
    return (
      <Notice title="Nobody waits for an answer">
        <p>
          A question that an agent asks, through MCP, A2A or <code>POST /v1/questions</code>, appears here by
          itself.
        </p>
      </Notice>
    );
  }
  return (
    <div className={clsx(styles.inbox, named !== undefined && styles.isOpen)}>
      <h1 className="visually-hidden">
        Inbox: {open.data.items.length.toLocaleString("en")} {open.data.hasMore && "and more "}waiting
      </h1>
      <QuestionList
        rows={rows}
        selected={shown}
        onSelect={select}
        onEnter={() =>
          detail.current
            ?.querySelector<HTMLElement>("form input, form textarea, form select, form button")
            ?.focus()
        }
      />
      <section ref={detail} className={styles.detail} aria-label="The question">
        <Link to="?" className={styles.back}>
          <ArrowLeft size={14} aria-hidden /> All questions
        </Link>
        <Next rows={rows} shown={shown} onSelect={select} />
        <article className={styles.card} key={shown}>
          <Place questionId={shown} />
          <AnswerForm questionId={shown} />
        </article>
        <p className={styles.keys}>
          <kbd>↑</kbd> <kbd>↓</kbd> next question · <kbd>Enter</kbd> to its answer · <kbd>Ctrl</kbd>{" "}
          <kbd>Enter</kbd> sends it
        </p>
      </section>
    </div>
  );
}

/**
 * From a question that is over to the next that waits. It stands above: who presses a form's button twice does not press
 * this one.
 */
function Next({ rows, shown, onSelect }: { rows: InboxRow[]; shown: string; onSelect(id: string): void }) {
  const { data } = useQuery(questionQuery(shown));
  const next = nextToAnswer(rows, shown);
  if (data === undefined || data.state === "open" || next === undefined) return null;
  return (
    <p className={styles.next}>
      <Button onClick={() => onSelect(next)}>
        Next question <ArrowRight size={14} aria-hidden />
      </Button>
    </p>
  );
}

/** The session and query that the question belongs to. */
function Place({ questionId }: { questionId: string }) {
  const { data } = useQuery(questionQuery(questionId));
  if (data?.session === undefined) return null;
  const session = `/ui/sessions/${encodeURIComponent(data.session)}`;
  return (
    <nav className={styles.place} aria-label="Where it belongs">
      <Link to={session}>{printable(data.session)}</Link>
      {data.query !== undefined && (
        <>
          <span aria-hidden>›</span>
          <Link to={`${session}?query=${encodeURIComponent(data.query)}`}>{printable(data.query)}</Link>
        </>
      )}
      {data.source !== undefined && <span className={styles.source}>{printable(data.source)}</span>}
    </nav>
  );
}
