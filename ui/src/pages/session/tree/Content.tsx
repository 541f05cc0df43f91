import { useState } from "react";
import type { Json } from "../../../api/types";
import { printable } from "../../../format";
import { Copy } from "../../../parts/Copy";
import { JsonView } from "../../../parts/JsonView";
import { Markdown } from "../../../parts/Markdown";
import styles from "./tree.module.css";
import { textOf } from "./words";

interface Props {
  name: string;
  value: Json;
}

/** Characters that are drawn at once; the clipboard gets all of them. */
const MOST_SHOWN = 50_000;

/** What was given or came out: text as Markdown or as it is, a structure as JSON and, where it is a message, as its text. */
export function Content({ name, value }: Props) {
  const text = textOf(value);
  const isText = typeof value === "string";
  const [isReading, setReading] = useState(text !== "" && (!isText || looksLikeMarkdown(text)));
  const [isWhole, setWhole] = useState(false);
  const cut = isText && value.length > MOST_SHOWN && !isWhole ? value.slice(0, MOST_SHOWN) : value;
  return (
    <section className={styles.content} aria-label={name}>
      <div className={styles.contentBar}>
        <span className={styles.contentName}>{name}</span>
        {text !== "" && (
          <button
            type="button"
            className={styles.quiet}
            aria-pressed={isReading}
            onClick={() => setReading(!isReading)}
          >
            {isReading ? (isText ? "Plain" : "JSON") : isText ? "Markdown" : "Text"}
          </button>
        )}
        <Copy
          text={() => (isText ? value : JSON.stringify(value, null, 2))}
          label={`Copy ${name.toLowerCase()}`}
        />
      </div>
      <div className={styles.contentBody}>
        {isReading ? (
          <Markdown text={text.slice(0, MOST_SHOWN)} />
        ) : typeof cut === "string" ? (
          <pre>{printable(cut)}</pre>
        ) : (
          <JsonView value={cut} />
        )}
        {cut !== value && (
          <button type="button" className={styles.quiet} onClick={() => setWhole(true)}>
            Show all {text.length.toLocaleString()} characters
          </button>
        )}
      </div>
    </section>
  );
}

function looksLikeMarkdown(text: string): boolean {
  return /(^|\n)(#{1,6} |[-*] |\d+\. |```|\|)|\*\*[^*]+\*\*|\[[^\]]+\]\(/.test(text.slice(0, 5_000));
}
