import { useQuery, useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useEffect, useRef, useState } from "react";
import { ApiError, path, send } from "../api/http";
import { me, questionQuery } from "../api/queries";
import type { Json, Question } from "../api/types";
import { printable } from "../format";
import { AnswerField } from "./AnswerFields";
import styles from "./AnswerForm.module.css";
import { draftOf, readDraft } from "./answerDraft";
import { dropDraft, keepDraft, keptDraft } from "./answerDrafts";
import { type Choice, type Draft, type FieldErrors, fieldOf, placed } from "./answerSchema";
import { Button } from "./Button";
import { CallOff } from "./CallOff";
import { Failure, Loading } from "./Notice";
import { Asked, Outcome } from "./QuestionState";

interface Props {
  questionId: string;
  onAnswered?(): void;
}

/** Others may answer too, elsewhere. */
const LOOK_AGAIN_MS = 5_000;

/** A question: who asks what, and a form to answer it in place, or what came of it. */
export function AnswerForm({ questionId, onAnswered }: Props) {
  const { data, error, refetch } = useQuery({
    ...questionQuery(questionId),
    refetchInterval: (query) => (query.state.data?.state === "open" ? LOOK_AGAIN_MS : false),
  });
  if (data === undefined) {
    return error === null ? (
      <Loading what="the question" />
    ) : (
      <Failure error={error} retry={() => void refetch()} />
    );
  }
  return (
    <div className={styles.question}>
      <p className={styles.text}>{printable(data.text ?? "Somebody is asked, and it is not known what.")}</p>
      {data.context !== undefined && <p className={styles.context}>{printable(data.context)}</p>}
      <Asked question={data} />
      {/* The form stays while it tells that somebody was faster. */}
      <Body question={data} onAnswered={onAnswered} />
    </div>
  );
}

function Body({ question, onAnswered }: { question: Question; onAnswered: (() => void) | undefined }) {
  const who = useQuery(me);
  const client = useQueryClient();
  const [wasLate, setWasLate] = useState(false);
  const { id, state } = question;
  useEffect(() => {
    if (state !== "open") dropDraft(client, id);
  }, [client, id, state]);
  if (question.state !== "open") return <Outcome question={question} wasLate={wasLate} />;
  if (question.answerable === false) {
    return (
      <p className={styles.note}>
        This is answered where it was asked ({printable(question.source ?? "elsewhere")}); here it is only
        shown.
      </p>
    );
  }
  if (who.data?.permissions.includes("answer") !== true) {
    return <p className={styles.note}>You may read this question, but not answer it.</p>;
  }
  const by = who.data.authentication ? who.data.name : undefined;
  return <Form question={question} by={by} onAnswered={onAnswered} onLate={() => setWasLate(true)} />;
}

interface FormProps {
  question: Question;
  by: string | undefined;
  onAnswered: (() => void) | undefined;
  onLate(): void;
}

function Form({ question, by, onAnswered, onLate }: FormProps) {
  const client = useQueryClient();
  const [field] = useState(() => fieldOf(question.schema, question.options));
  const [draft, setDraft] = useState<Draft>(() => keptDraft(client, question.id) ?? draftOf(field));
  const [errors, setErrors] = useState<FieldErrors>({});
  const [isSending, setSending] = useState(false);
  const form = useRef<HTMLFormElement>(null);
  const url = (what: string) => path(["v1", "questions", question.id, what]);

  // Fields that are being sent cannot have the focus: it goes to what is wrong once they are free again.
  useEffect(() => {
    if (isSending || Object.keys(errors).length === 0) return;
    form.current?.querySelector<HTMLElement>('[aria-invalid="true"]')?.focus();
  }, [errors, isSending]);
  const write = (changed: Draft) => {
    setDraft(changed);
    keepDraft(client, question.id, changed);
  };
  const post = async (to: string, body: Json) => {
    setSending(true);
    setErrors({});
    try {
      const after = await send<Question>("POST", to, body);
      dropDraft(client, question.id);
      client.setQueryData(questionQuery(question.id).queryKey, after);
      void client.invalidateQueries({ queryKey: ["questions"] });
      onAnswered?.();
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      if (error.status === 409) {
        const after = await client
          .fetchQuery({ ...questionQuery(question.id), staleTime: 0 })
          .catch(() => undefined);
        void client.invalidateQueries({ queryKey: ["questions"] });
        if (after !== undefined && after.state !== "open") onLate();
      }
      setErrors(placed(field, error.field, error.message));
    } finally {
      setSending(false);
    }
  };
  const answer = (value: Json) =>
    post(url("answer"), by === undefined ? { answer: value } : { answer: value, answeredBy: by });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    const { value, errors: found } = readDraft(field, draft);
    if (Object.keys(found).length > 0) setErrors(found);
    else if (value !== undefined) void answer(value);
  };

  const quick = quickChoices(field);
  const general = errors[""];
  return (
    <form
      ref={form}
      className={styles.form}
      noValidate
      onSubmit={submit}
      aria-label={`Answer to: ${printable(question.text ?? "a question")}`}
      onKeyDown={(event) => {
        if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) event.currentTarget.requestSubmit();
      }}
    >
      {quick === undefined && (
        <AnswerField
          field={field}
          place="answer"
          draft={draft}
          errors={errors}
          disabled={isSending}
          onChange={write}
        />
      )}
      {(general ?? (quick && errors.answer)) !== undefined && (
        <p className={styles.error} role="alert">
          {printable(general ?? errors.answer ?? "")}
        </p>
      )}
      <div className={styles.actions}>
        {quick?.map((each) => (
          <Button
            key={JSON.stringify(each.value)}
            className={styles.quick}
            disabled={isSending}
            onClick={() => void answer(each.value)}
          >
            {printable(each.label)}
          </Button>
        ))}
        {quick === undefined && (
          <Button type="submit" primary disabled={isSending}>
            {isSending ? "Sending …" : "Answer"}
          </Button>
        )}
        <CallOff
          disabled={isSending}
          onCallOff={(reason) => void post(url("cancel"), reason === "" ? {} : { reason })}
        />
      </div>
    </form>
  );
}

const MOST_QUICK = 6;
const LONGEST_QUICK = 160;

/** Few and short choices are one press each. */
function quickChoices(field: ReturnType<typeof fieldOf>): Choice[] | undefined {
  if (field.kind === "boolean") {
    return [
      { value: true, label: "Yes" },
      { value: false, label: "No" },
    ];
  }
  if (field.kind !== "choice" || field.choices.length > MOST_QUICK) return undefined;
  const length = field.choices.reduce((sum, each) => sum + each.label.length, 0);
  return length > LONGEST_QUICK ? undefined : field.choices;
}
