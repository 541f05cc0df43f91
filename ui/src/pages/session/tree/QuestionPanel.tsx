import { useQuery } from "@tanstack/react-query";
import { sessionQuestions } from "../../../api/queries";
import type { QuestionPage } from "../../../api/types";
import { printable } from "../../../format";
import { AnswerForm } from "../../../parts/AnswerForm";
import { Failure } from "../../../parts/Notice";
import styles from "./tree.module.css";

interface Props {
  session: string;
  questionId: string;
}

/** What is told of a question may come before the question itself. */
const LOOK_AGAIN_MS = 10_000;

/**
 * The form of a question, or why there is none: a span may tell of one that another system asks. It is looked for among
 * the session's questions; to ask the broker for each by its id would be a mistake for those.
 */
export function QuestionPanel({ session, questionId }: Props) {
  const { data, error, refetch, isFetchedAfterMount } = useQuery({
    ...sessionQuestions(session),
    staleTime: 0,
    refetchInterval: ({ state }) => (isThere(state.data, questionId) ? false : LOOK_AGAIN_MS),
  });
  if (isThere(data, questionId)) return <AnswerForm questionId={questionId} />;
  if (error !== null && data === undefined) return <Failure error={error} retry={() => void refetch()} />;
  return (
    <p className={styles.unknown} role="status">
      {isFetchedAfterMount ? (
        <>
          Question <code>{printable(questionId)}</code> was asked elsewhere: it can be answered where it was
          asked.
        </>
      ) : (
        "Loading the question …"
      )}
    </p>
  );
}

/** Of a session that has more questions than are listed, any may be there. */
function isThere(page: QuestionPage | undefined, id: string): boolean {
  return page !== undefined && (page.nextCursor !== undefined || page.items.some((each) => each.id === id));
}
