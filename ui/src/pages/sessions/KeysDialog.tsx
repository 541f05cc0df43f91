import { Dialog, DialogDismiss, DialogHeading } from "@ariakit/react";
import { X } from "lucide-react";
import styles from "./Sessions.module.css";

const KEYS: readonly { keys: readonly string[]; what: string }[] = [
  { keys: ["j", "↓"], what: "next session" },
  { keys: ["k", "↑"], what: "previous session" },
  { keys: ["Enter"], what: "open it" },
  { keys: ["Home", "End"], what: "first, last of those loaded" },
  { keys: ["n"], what: "show what is newer" },
  { keys: ["/"], what: "search" },
  { keys: ["Esc"], what: "leave the search" },
  { keys: ["?"], what: "these keys" },
];

interface Props {
  open: boolean;
  close(): void;
  keysOn: boolean;
  setKeysOn(on: boolean): void;
}

/** The keys that there are. */
export function KeysDialog({ open, close, keysOn, setKeysOn }: Props) {
  return (
    <Dialog
      open={open}
      onClose={close}
      className={styles.dialog}
      backdrop={<div className={styles.backdrop} />}
    >
      <div className={styles.dialogHead}>
        <DialogHeading className={styles.dialogTitle}>Keys</DialogHeading>
        <DialogDismiss className={styles.iconButton} aria-label="Close">
          <X size={16} aria-hidden />
        </DialogDismiss>
      </div>
      <dl className={styles.keys}>
        {KEYS.map(({ keys, what }) => (
          <div key={what}>
            <dt>
              {keys.map((key) => (
                <kbd className={styles.key} key={key}>
                  {key}
                </kbd>
              ))}
            </dt>
            <dd>{what}</dd>
          </div>
        ))}
      </dl>
      <label className={styles.keysOn}>
        <input type="checkbox" checked={keysOn} onChange={(event) => setKeysOn(event.target.checked)} />
        Letters and signs work as keys
      </label>
    </Dialog>
  );
}
