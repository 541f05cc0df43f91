import { useId } from "react";
import { Checkboxes, Radios, Select } from "./AnswerChoices";
import styles from "./AnswerForm.module.css";
import { type FieldProps, Hints, Label } from "./AnswerLabel";
import type { Choice, NamedField } from "./answerSchema";

/** One field of an answer, and those within it. */
export function AnswerField(props: FieldProps) {
  const { field, draft, onChange } = props;
  switch (field.kind) {
    case "object":
      return <ObjectField {...props} fields={field.fields} />;
    case "boolean":
      return (
        <Radios
          {...props}
          choices={YES_NO}
          chosen={draft === "" ? "" : draft === "true" ? "0" : "1"}
          onChoose={(at) => onChange(at === "0" ? "true" : at === "1" ? "false" : "")}
        />
      );
    case "choice":
      return field.choices.length > MOST_RADIOS ? (
        <Select {...props} choices={field.choices} />
      ) : (
        <Radios
          {...props}
          choices={field.choices}
          chosen={typeof draft === "string" ? draft : ""}
          onChoose={onChange}
        />
      );
    case "choices":
      return <Checkboxes {...props} choices={field.choices} />;
    default:
      return <TextField {...props} field={field} />;
  }
}

const YES_NO: Choice[] = [
  { value: true, label: "Yes" },
  { value: false, label: "No" },
];
const MOST_RADIOS = 6;

function ObjectField({ fields, ...props }: FieldProps & { fields: NamedField[] }) {
  const id = useId();
  const inner = typeof props.draft === "object" && !Array.isArray(props.draft) ? props.draft : {};
  const isWhole = props.name === undefined;
  return (
    <fieldset className={isWhole ? styles.whole : styles.group} aria-describedby={id}>
      <legend className={isWhole && props.field.title === undefined ? "visually-hidden" : styles.label}>
        <Label props={props} />
      </legend>
      <Hints props={props} id={id} />
      {fields.map(({ name, field }) => (
        <AnswerField
          key={name}
          name={name}
          field={field}
          place={`${props.place}.${name}`}
          draft={Object.hasOwn(inner, name) ? inner[name] : undefined}
          errors={props.errors}
          disabled={props.disabled}
          onChange={(draft) => props.onChange({ ...inner, [name]: draft })}
        />
      ))}
    </fieldset>
  );
}

const INPUT_TYPES = {
  text: "text",
  email: "email",
  uri: "url",
  date: "date",
  "date-time": "datetime-local",
} as const;

function TextField(props: FieldProps) {
  const { field } = props;
  const id = useId();
  const shared = {
    id,
    className: styles.input,
    value: typeof props.draft === "string" ? props.draft : "",
    disabled: props.disabled,
    "aria-required": field.required,
    "aria-invalid": props.errors[props.place] !== undefined,
    "aria-describedby": `${id}-hints`,
    onChange: (event: { target: { value: string } }) => props.onChange(event.target.value),
  };
  return (
    <div className={styles.field}>
      <label className={styles.label} htmlFor={id}>
        <Label props={props} />
        {field.kind === "json" && <span className={styles.optional}>JSON</span>}
      </label>
      {field.kind === "json" ? (
        <textarea {...shared} rows={5} spellCheck={false} className={`${styles.input} mono`} />
      ) : field.kind === "number" ? (
        <input
          {...shared}
          type="text"
          inputMode={field.whole ? "numeric" : "decimal"}
          placeholder={rangeOf(field.least, field.most)}
          autoComplete="off"
        />
      ) : field.kind === "text" && field.multiline ? (
        <textarea {...shared} rows={3} />
      ) : (
        <input
          {...shared}
          type={INPUT_TYPES[field.kind === "text" ? field.format : "text"]}
          autoComplete="off"
        />
      )}
      <Hints props={props} id={`${id}-hints`} />
    </div>
  );
}

function rangeOf(least: number | undefined, most: number | undefined): string {
  if (least !== undefined && most !== undefined) return `${least} to ${most}`;
  if (least !== undefined) return `${least} or more`;
  return most === undefined ? "" : `${most} or less`;
}
