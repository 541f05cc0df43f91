import { ArrowDownToLine, ArrowUpToLine } from "lucide-react";
import { type FormEvent, useEffect, useState } from "react";
import { brief } from "../../../format";
import { Button } from "../../../parts/Button";
import styles from "./Raw.module.css";

interface Props {
  type: string;
  query: string;
  queries: string[];
  begin: number;
  isFollowing: boolean;
  onFilter(changes: { type?: string; query?: string }): void;
  onBeginning(): void;
  onNewest(): Promise<void>;
}

/** Types that are often looked for; any other may be written. */
const TYPES = [
  "query.started",
  "query.completed",
  "query.failed",
  "llm.request",
  "llm.chunk",
  "tool.call",
  "tool.result",
  "tool.failed",
  "agent.started",
  "agent.completed",
  "agent.failed",
  "question.asked",
  "question.answered",
  "task.updated",
  "message.added",
];

/** Which events are listed, and from where on. */
export function RawBar({ type, query, queries, begin, isFollowing, onFilter, onBeginning, onNewest }: Props) {
  const [written, setWritten] = useState(type);
  const [isSearching, setSearching] = useState(false);
  useEffect(() => setWritten(type), [type]);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    onFilter({ type: written.trim() });
  };
  const goToNewest = async () => {
    setSearching(true);
    await onNewest().finally(() => setSearching(false));
  };
  return (
    <form className={styles.tools} onSubmit={submit}>
      <label>
        <span className="visually-hidden">Type of the events</span>
        <input
          className={styles.control}
          list="event-types"
          value={written}
          placeholder="Any type"
          spellCheck={false}
          onChange={(event) => {
            setWritten(event.target.value);
            if (event.target.value === "" || TYPES.includes(event.target.value)) {
              onFilter({ type: event.target.value });
            }
          }}
          onBlur={() => written.trim() !== type && onFilter({ type: written.trim() })}
        />
        <datalist id="event-types">
          {TYPES.map((each) => (
            <option key={each} value={each} />
          ))}
        </datalist>
      </label>
      <label>
        <span className="visually-hidden">Query</span>
        <select
          className={styles.control}
          value={query}
          onChange={(event) => onFilter({ query: event.target.value })}
        >
          <option value="">All queries</option>
          {query !== "" && !queries.includes(query) && <option value={query}>{brief(query, 80)}</option>}
          {queries.map((each) => (
            <option key={each} value={each}>
              {brief(each, 80)}
            </option>
          ))}
        </select>
      </label>
      <div className={styles.go}>
        {isFollowing && (
          <span className={styles.following} role="status">
            Following
          </span>
        )}
        <Button onClick={onBeginning} disabled={begin === 0 && !isFollowing}>
          <ArrowUpToLine size={14} aria-hidden /> Beginning
        </Button>
        <Button onClick={() => void goToNewest()} disabled={isFollowing || isSearching}>
          <ArrowDownToLine size={14} aria-hidden /> Newest
        </Button>
      </div>
    </form>
  );
}
