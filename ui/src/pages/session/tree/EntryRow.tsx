import clsx from "clsx";
import { ChevronRight, CircleAlert, History, Loader } from "lucide-react";
import { memo } from "react";
import type { Entry, Tokens } from "../../../api/types";
import { clock, count, dateTime, dollars, duration } from "../../../format";
import { isFailed } from "../../../live/kinds";
import { EntryDetail } from "./EntryDetail";
import styles from "./tree.module.css";
import { type Words, wordsOf } from "./words";

interface Props {
  index: number;
  /** Where it stands among so many of its query. */
  place: number;
  of: number;
  isActive: boolean;
  session: string;
  query: string;
  entry: Entry;
  isExpanded: boolean;
  /** It asks something that nobody has answered. */
  isWaiting: boolean;
  /** Its query has ended. */
  isOver: boolean;
}

/** One thing that happened, in a line; all there is to know of it below, once it is opened. */
export const EntryRow = memo(function EntryRow(props: Props) {
  const { index, session, query, entry, isExpanded, isWaiting } = props;
  const words = wordsOf(entry);
  return (
    <div className={clsx(styles.entry, isFailed(entry) && styles.failed)}>
      {/* biome-ignore lint/a11y/useFocusableInteractive: the tree has the focus, and names its active row */}
      <div
        id={`row-${index}`}
        role="treeitem"
        aria-level={2}
        aria-posinset={props.place + 1}
        aria-setsize={props.of}
        aria-expanded={isExpanded}
        aria-selected={props.isActive}
        className={styles.line}
      >
        <ChevronRight size={13} aria-hidden className={isExpanded ? styles.opened : styles.closed} />
        <span className={clsx(styles.tag, styles[words.tag])}>[{words.tag}]</span>
        <Said words={words} entry={entry} isExpanded={isExpanded} isOver={props.isOver} />
        {isWaiting && entry.type !== "query.waiting" && (
          <span className={styles.waiting}>Waiting for response…</span>
        )}
        <Figures entry={entry} />
      </div>
      {isExpanded && (
        // What is below a row is an item of the tree, too: nothing else may be in one.
        // biome-ignore lint/a11y/useFocusableInteractive: what is in it has the focus
        <div role="treeitem" aria-level={3} aria-selected={false} data-inner>
          <EntryDetail session={session} query={query} entry={entry} />
        </div>
      )}
    </div>
  );
});

interface SaidProps {
  words: Words;
  entry: Entry;
  isExpanded: boolean;
  isOver: boolean;
}

function Said({ words, entry, isExpanded, isOver }: SaidProps) {
  const isStream = entry.type === "stream";
  const isOpen = entry.type === "tool.call" && entry.output === undefined && entry.duration === undefined;
  return (
    <span className={styles.said}>
      <span className={styles.what}>{words.what}</span>
      {isStream && entry.text === undefined && (
        <span className={styles.replay}>
          <span className={styles.wide}>{isExpanded ? "▾" : "▸"}</span> <History size={12} aria-hidden />{" "}
          <span className={styles.wide}>click to</span> replay
        </span>
      )}
      {words.failure !== undefined ? (
        <span className={styles.failure}>
          <CircleAlert size={14} aria-hidden />
          <span className="visually-hidden">Failed: </span>
          {words.failure}
        </span>
      ) : (
        words.result !== undefined && (
          <>
            <span className={styles.arrow}>→</span>
            <span className={styles.result}>{words.result}</span>
          </>
        )
      )}
      {words.aside !== undefined && <span className={styles.aside}>{words.aside}</span>}
      {isOpen && words.failure === undefined && isOver && <span className={styles.aside}>no result</span>}
      {isOpen && words.failure === undefined && !isOver && (
        <span className={styles.running}>
          <Loader size={12} aria-hidden /> running
        </span>
      )}
    </span>
  );
}

function Figures({ entry }: { entry: Entry }) {
  const used = typeof entry.tokens === "object" ? entry.tokens : undefined;
  const isEnd = entry.type.startsWith("query.");
  return (
    <span className={styles.figures}>
      {used !== undefined && <span className={styles.wide}>{tokensIn(used)}</span>}
      {entry.cost !== undefined && <span className={styles.wide}>{dollars(entry.cost)}</span>}
      {entry.finishReason !== undefined && (
        <span className={clsx(styles.wide, styles.chip)}>{entry.finishReason}</span>
      )}
      {entry.mcpServer !== undefined && (
        <span className={clsx(styles.wide, styles.chip)} title="MCP server">
          {entry.mcpServer}
        </span>
      )}
      {!isEnd && entry.duration !== undefined && (
        <span className={styles.took}>{duration(entry.duration)}</span>
      )}
      <time className={styles.time} dateTime={entry.ts} title={dateTime(entry.ts)}>
        {clock(entry.ts)}
      </time>
    </span>
  );
}

function tokensIn(used: Tokens): string {
  return `${count(used.input)} → ${count(used.output)} tok`;
}
