import { useEffect, useRef, useState } from "react";
import styles from "./AnswerForm.module.css";
import { Button } from "./Button";

/** Calls a question off, after asking once more. */
export function CallOff({ disabled, onCallOff }: { disabled: boolean; onCallOff(reason: string): void }) {
  const [isAsked, setAsked] = useState(false);
  const [reason, setReason] = useState("");
  const first = useRef<HTMLInputElement>(null);
  useEffect(() => {
    if (isAsked) first.current?.focus();
  }, [isAsked]);
  if (!isAsked) {
    return (
      <Button className={styles.callOff} disabled={disabled} onClick={() => setAsked(true)}>
        Call off
      </Button>
    );
  }
  return (
    <fieldset
      className={styles.confirm}
      disabled={disabled}
      onKeyDown={(event) => {
        if (event.key === "Escape") setAsked(false);
        if (event.key === "Enter" && event.target === first.current) {
          event.preventDefault();
          onCallOff(reason.trim());
        }
      }}
    >
      <legend className={styles.label}>Call the question off? Nobody can answer it then.</legend>
      <input
        ref={first}
        className={styles.input}
        value={reason}
        maxLength={1000}
        placeholder="Why (optional)"
        aria-label="Why it is called off (optional)"
        onChange={(event) => setReason(event.target.value)}
      />
      <Button className={styles.danger} onClick={() => onCallOff(reason.trim())}>
        Call off
      </Button>
      <Button onClick={() => setAsked(false)}>Keep it</Button>
    </fieldset>
  );
}
