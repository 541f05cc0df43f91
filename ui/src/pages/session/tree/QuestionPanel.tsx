import { useQuery } from "@tanstack/react-query";
import { ApiError } from "../../../api/http";
import { questionQuery } from "../../../api/queries";
import { printable } from "../../../format";
import { AnswerForm } from "../../../parts/AnswerForm";
import styles from "./tree.module.css";

/** The form of a question, or why there is none. */
export function QuestionPanel({ questionId }: { questionId: string }) {
  const { error } = useQuery(questionQuery(questionId));
  if (error instanceof ApiError && error.status === 404) {
    return (
      <p className={styles.unknown}>
        Question <code>{printable(questionId)}</code> was not asked through this broker: it is waiting for its
        answer where it was asked.
      </p>
    );
  }
  return <AnswerForm questionId={questionId} />;
}
