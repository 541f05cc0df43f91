import { printable } from "../format";
import styles from "./AnswerForm.module.css";
import type { Draft, Field, FieldErrors } from "./answerSchema";

export interface FieldProps {
  field: Field;
  /** The field's name among others; the answer as a whole has none. */
  name?: string;
  place: string;
  draft: Draft | undefined;
  errors: FieldErrors;
  disabled: boolean;
  onChange(draft: Draft): void;
}

function labelOf({ field, name }: FieldProps): string {
  return printable(field.title ?? name ?? "Your answer");
}

/** The name of a field, and that it need not be filled in. */
export function Label({ props }: { props: FieldProps }) {
  return (
    <>
      {labelOf(props)}
      {!props.field.required && <span className={styles.optional}>optional</span>}
    </>
  );
}

export function Hints({ props, id }: { props: FieldProps; id: string }) {
  const error = props.errors[props.place];
  return (
    <span id={id} className={styles.hints}>
      {props.field.description !== undefined && (
        <span className={styles.description}>{printable(props.field.description)}</span>
      )}
      {error !== undefined && <span className={styles.error}>{printable(error)}</span>}
    </span>
  );
}
