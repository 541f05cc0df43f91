import { defaultRangeExtractor, type Range, useVirtualizer } from "@tanstack/react-virtual";
import clsx from "clsx";
import { type MouseEvent, useCallback, useMemo, useRef } from "react";
import { isFailed, isOver } from "../../../live/kinds";
import type { TabProps } from "../Session";
import { EntryRow } from "./EntryRow";
import { HeadRow } from "./HeadRow";
import { rowsOf } from "./rows";
import { Toolbar } from "./Toolbar";
import styles from "./tree.module.css";
import { useErrors } from "./useErrors";
import { useFocusedRow } from "./useFocusedRow";
import { useFollow } from "./useFollow";
import { usePlace } from "./usePlace";
import { goTo, useSelection } from "./useSelection";
import { useTreeKeys } from "./useTreeKeys";
import { useTreeState } from "./useTreeState";
import { WhereBar } from "./WhereBar";
import { openQuestion } from "./words";

const HEAD_HEIGHT = 40;
const ROW_HEIGHT = 30;

/** Everything that happens in a session, as a tree that grows while one looks at it. */
export function TreeTab({ id, live }: TabProps) {
  const { session } = live;
  const scroller = useRef<HTMLDivElement>(null);
  const state = useTreeState(session);
  const rows = useMemo(() => rowsOf(session ?? NO_SESSION, state.isQueryOpen), [session, state.isQueryOpen]);
  const latest = useRef(rows);
  latest.current = rows;
  const active = usePlace(rows, state.active);
  const focused = useFocusedRow(state.open);
  const kept = usePlace(rows, focused.row);
  const virtual = useVirtualizer({
    count: rows.count,
    getScrollElement: () => scroller.current,
    estimateSize: useCallback(
      (index: number) => (latest.current.isHead(index) ? HEAD_HEIGHT : ROW_HEIGHT),
      [],
    ),
    getItemKey: useCallback((index: number) => latest.current.keyAt(index), []),
    overscan: 12,
    // The row that the focus is in stays in the page, wherever that is scrolled to: a form in it is not to be lost.
    rangeExtractor: useCallback((range: Range) => withKept(defaultRangeExtractor(range), kept), [kept]),
    scrollPaddingStart: HEAD_HEIGHT,
    scrollPaddingEnd: 8,
    paddingEnd: 16,
  });
  const follow = useFollow({ scroller, virtual, rows, live, startsWith: state.startsFollowing });
  const tree = useMemo(
    () => ({ rows, latest, state, virtual, stop: follow.stop }),
    [rows, state, virtual, follow.stop],
  );
  const address = useSelection(tree, live);
  const errors = useErrors(tree, live, active);
  const onKeyDown = useTreeKeys(tree, active, address);
  const toggle = useCallback(
    (key: string, index: number) => {
      const row = latest.current.at(index);
      state.setActive({ key, index });
      state.toggle(key, row);
      if (row !== undefined) address(row);
    },
    [state.setActive, state.toggle, address],
  );
  const onClick = useCallback(
    (event: MouseEvent<HTMLElement>) => {
      // What stands in a row, links and the text that is being marked, is used for itself.
      const target = event.target instanceof Element ? event.target : null;
      if (target?.closest("a, button, input, select, textarea, [data-inner]") != null) return;
      if (window.getSelection()?.isCollapsed === false) return;
      const row = target?.closest<HTMLElement>("[data-key]");
      if (row?.dataset.key === undefined) return;
      follow.stop();
      toggle(row.dataset.key, Number(row.dataset.index));
    },
    [toggle, follow.stop],
  );
  if (session === undefined) return null;
  return (
    <div className={styles.tab}>
      <Toolbar rows={rows} state={state} errors={errors} follow={follow} />
      {rows.count === 0 ? (
        <p className={styles.empty}>
          Nothing has happened in this session yet. What comes appears here by itself.
        </p>
      ) : (
        <div className={styles.stage}>
          <WhereBar rows={rows} virtual={virtual} onGo={(name) => goTo(tree, name, undefined)} />
          <div
            ref={scroller}
            className={styles.scroller}
            role="tree"
            aria-label={`What happened in ${id}`}
            aria-activedescendant={active >= 0 ? `row-${active}` : undefined}
            tabIndex={0}
            onKeyDown={onKeyDown}
            onClick={onClick}
            {...follow.listeners}
            onFocus={(event) => {
              follow.listeners.onFocus(event);
              focused.onFocus(event);
            }}
            onBlur={focused.onBlur}
          >
            <div role="presentation" className={styles.canvas} style={{ height: virtual.getTotalSize() }}>
              {virtual.getVirtualItems().map((item) => {
                const row = rows.at(item.index);
                if (row === undefined) return null;
                const isActive = item.index === active;
                const isExpanded = row.kind === "head" ? row.segment.isOpen : state.isExpanded(row);
                // Once it had another height, it is measured until it is a plain row again.
                const isMeasured =
                  row.kind === "entry" && (isExpanded || isFailed(row.entry) || item.size !== ROW_HEIGHT);
                return (
                  <div
                    key={item.key}
                    ref={isMeasured ? virtual.measureElement : undefined}
                    data-index={item.index}
                    data-key={row.key}
                    role="none"
                    className={clsx(styles.place, isActive && styles.active)}
                    style={{ transform: `translateY(${item.start}px)` }}
                  >
                    {row.kind === "head" ? (
                      <HeadRow index={item.index} isActive={isActive} session={id} segment={row.segment} />
                    ) : (
                      <EntryRow
                        index={item.index}
                        place={row.place}
                        of={row.segment.entries.length}
                        isActive={isActive}
                        session={id}
                        query={row.segment.name}
                        entry={row.entry}
                        isExpanded={isExpanded}
                        isWaiting={openQuestion(row.segment.query) === row.entry}
                        isOver={row.segment.query !== undefined && isOver(row.segment.query.phase)}
                      />
                    )}
                  </div>
                );
              })}
            </div>
          </div>
        </div>
      )}
      <p className="visually-hidden" role="status">
        {errors.said}
      </p>
    </div>
  );
}

function withKept(shown: number[], kept: number): number[] {
  return kept < 0 || shown.includes(kept) ? shown : [...shown, kept].sort((one, other) => one - other);
}

const NO_SESSION = {
  id: "",
  status: "idle",
  counts: { queries: 0, phases: {}, events: 0, toolCalls: 0, modelCalls: 0, chunks: 0, errors: 0 },
  tokens: { input: 0, output: 0 },
  seq: 0,
  log: "",
  queries: {},
} as const;
