import { useId } from "react";
import { printable } from "../format";
import styles from "./AnswerForm.module.css";
import { type FieldProps, Hints, Label } from "./AnswerLabel";
import type { Choice } from "./answerSchema";

interface RadiosProps extends FieldProps {
  choices: Choice[];
  chosen: string;
  onChoose(at: string): void;
}

/** Few choices, of which one is made. */
export function Radios({ choices, chosen, onChoose, ...props }: RadiosProps) {
  const id = useId();
  const isInvalid = props.errors[props.place] !== undefined;
  return (
    <fieldset className={styles.plain} aria-describedby={id} disabled={props.disabled}>
      <legend className={styles.label}>
        <Label props={props} />
      </legend>
      <div className={styles.choices}>
        {choices.map((each, at) => (
          <label key={String(at)} className={styles.choice}>
            <input
              type="radio"
              name={id}
              checked={chosen === String(at)}
              aria-invalid={isInvalid}
              onChange={() => onChoose(String(at))}
            />
            <span>{printable(each.label)}</span>
          </label>
        ))}
        {!props.field.required && chosen !== "" && (
          <button type="button" className={styles.clear} onClick={() => onChoose("")}>
            Clear
          </button>
        )}
      </div>
      <Hints props={props} id={id} />
    </fieldset>
  );
}

/** Any of some choices. */
export function Checkboxes({ choices, ...props }: FieldProps & { choices: Choice[] }) {
  const id = useId();
  const chosen = Array.isArray(props.draft) ? props.draft : [];
  const isInvalid = props.errors[props.place] !== undefined;
  return (
    <fieldset className={styles.plain} aria-describedby={id} disabled={props.disabled}>
      <legend className={styles.label}>
        <Label props={props} />
      </legend>
      <div className={styles.choices}>
        {choices.map((each, at) => (
          <label key={String(at)} className={styles.choice}>
            <input
              type="checkbox"
              checked={chosen.includes(String(at))}
              aria-invalid={isInvalid}
              onChange={(event) =>
                props.onChange(
                  event.target.checked
                    ? [...chosen, String(at)]
                    : chosen.filter((each) => each !== String(at)),
                )
              }
            />
            <span>{printable(each.label)}</span>
          </label>
        ))}
      </div>
      <Hints props={props} id={id} />
    </fieldset>
  );
}

/** Many choices, of which one is made. */
export function Select({ choices, ...props }: FieldProps & { choices: Choice[] }) {
  const id = useId();
  return (
    <div className={styles.field}>
      <label className={styles.label} htmlFor={id}>
        <Label props={props} />
      </label>
      <select
        id={id}
        className={styles.input}
        value={typeof props.draft === "string" ? props.draft : ""}
        disabled={props.disabled}
        aria-invalid={props.errors[props.place] !== undefined}
        aria-describedby={`${id}-hints`}
        onChange={(event) => props.onChange(event.target.value)}
      >
        <option value="">Choose …</option>
        {choices.map((each, at) => (
          <option key={String(at)} value={String(at)}>
            {printable(each.label)}
          </option>
        ))}
      </select>
      <Hints props={props} id={`${id}-hints`} />
    </div>
  );
}
