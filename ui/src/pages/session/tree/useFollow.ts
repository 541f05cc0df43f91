import type { Virtualizer } from "@tanstack/react-virtual";
import {
  type FocusEvent,
  type PointerEvent,
  type RefObject,
  useCallback,
  useLayoutEffect,
  useMemo,
  useRef,
  useState,
  type WheelEvent,
} from "react";
import type { LiveSession } from "../../../live/useLiveSession";
import type { Rows } from "./rows";
import { rowWithin } from "./useFocusedRow";

export type TreeVirtualizer = Virtualizer<HTMLDivElement, Element>;

interface Options {
  scroller: RefObject<HTMLDivElement | null>;
  virtual: TreeVirtualizer;
  rows: Rows;
  live: LiveSession;
  startsWith: boolean;
}

export interface Follow {
  isFollowing: boolean;
  /** Something came while the reader was elsewhere. */
  isBehind: boolean;
  start(): void;
  stop(): void;
  listeners: {
    onWheel(event: WheelEvent): void;
    onTouchMove(): void;
    onPointerDown(event: PointerEvent): void;
    onFocus(event: FocusEvent): void;
    onScroll(): void;
  };
}

/** Pixels from the end within which a reader is at the end. */
const NEAR = 12;

/** Keeps the newest row in view until the reader turns elsewhere. */
export function useFollow({ scroller, virtual, rows, live, startsWith }: Options): Follow {
  const [isFollowing, setFollowing] = useState(startsWith);
  const [seen, setSeen] = useState(live.newest);
  // Only what a reader did counts as scrolling: measuring rows scrolls, too.
  const isReaders = useRef(false);
  const { newest } = live;
  const size = virtual.getTotalSize();

  // biome-ignore lint/correctness/useExhaustiveDependencies: a new size is why to scroll
  useLayoutEffect(() => {
    const element = scroller.current;
    if (!isFollowing || element === null) return;
    const index = newest === undefined ? rows.count - 1 : rows.indexOf(newest.query, newest.seq);
    if (index < 0) return;
    if (index === rows.count - 1) element.scrollTop = element.scrollHeight;
    else virtual.scrollToIndex(index, { align: "auto" });
  }, [isFollowing, newest, rows, size, scroller, virtual]);

  const start = useCallback(() => {
    setFollowing(true);
    isReaders.current = false;
  }, []);
  const stop = useCallback(() => {
    setFollowing((was) => {
      if (was) setSeen(newest);
      return false;
    });
  }, [newest]);
  const listeners = useMemo(
    () => ({
      onWheel(event: WheelEvent) {
        isReaders.current = true;
        if (event.deltaY < 0) stop();
      },
      onTouchMove() {
        isReaders.current = true;
        stop();
      },
      onPointerDown(event: PointerEvent) {
        // The bar, not what is in it.
        if (event.target === scroller.current) {
          isReaders.current = true;
          stop();
        } else if (rowWithin(event.target) !== undefined) stop();
      },
      onFocus(event: FocusEvent) {
        if (rowWithin(event.target) !== undefined) stop();
      },
      onScroll() {
        const element = scroller.current;
        // Who writes in a row's form stays there, also at the end.
        if (!isReaders.current || element === null || rowWithin(document.activeElement)) return;
        const isAtEnd = element.scrollHeight - element.scrollTop - element.clientHeight < NEAR;
        if (isAtEnd && element.scrollHeight > element.clientHeight + NEAR) start();
      },
    }),
    [stop, start, scroller],
  );
  return { isFollowing, isBehind: !isFollowing && newest !== seen, start, stop, listeners };
}
