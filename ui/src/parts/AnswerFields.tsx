import { useId } from "react";
import { printable } from "../format";
import styles from "./AnswerForm.module.css";
import type { Choice, Draft, Field, FieldErrors, NamedField } from "./answerSchema";

interface Props {
  field: Field;
  /** The field's name among others; the answer as a whole has none. */
  name?: string;
  place: string;
  draft: Draft | undefined;
  errors: FieldErrors;
  disabled: boolean;
  onChange(draft: Draft): void;
}

/** One field of an answer, and those within it. */
export function AnswerField(props: Props) {
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

function labelOf({ field, name }: Props): string {
  return printable(field.title ?? name ?? "Your answer");
}

/** The name of a field, and that it need not be filled in. */
function Label({ props }: { props: Props }) {
  return (
    <>
      {labelOf(props)}
      {!props.field.required && <span className={styles.optional}>optional</span>}
    </>
  );
}

function Hints({ props, id }: { props: Props; id: string }) {
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

function ObjectField({ fields, ...props }: Props & { fields: NamedField[] }) {
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

interface RadiosProps extends Props {
  choices: Choice[];
  chosen: string;
  onChoose(at: string): void;
}

function Radios({ choices, chosen, onChoose, ...props }: RadiosProps) {
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

function Checkboxes({ choices, ...props }: Props & { choices: Choice[] }) {
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

function Select({ choices, ...props }: Props & { choices: Choice[] }) {
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

const INPUT_TYPES = {
  text: "text",
  email: "email",
  uri: "url",
  date: "date",
  "date-time": "datetime-local",
} as const;

function TextField(props: Props) {
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
