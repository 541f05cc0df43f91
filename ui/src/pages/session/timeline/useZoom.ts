import { useCallback, useMemo, useState } from "react";
import { around, moved, revealing, type Window, zoomed } from "./window";

export interface Zoom {
  window: Window;
  isFit: boolean;
  by(factor: number, focus?: number): void;
  move(share: number): void;
  /** Nearer, it moves to where this time is. */
  reveal(time: number): void;
  fit(): void;
  show(from: number, to: number): void;
}

/** The part of `from`…`to` that is seen; all of it, also while it grows, until somebody zooms. */
export function useZoom(from: number, to: number): Zoom {
  const [chosen, setChosen] = useState<Window>();
  const whole = useMemo(() => {
    // A little room at the end, and never nothing.
    const length = Math.max(to - from, 0.1);
    return { from, to: from + length * 1.02 };
  }, [from, to]);
  const window = chosen ?? whole;
  const by = useCallback(
    (factor: number, focus?: number) =>
      setChosen((now) => {
        const next = zoomed(now ?? whole, whole, factor, focus);
        return next.to - next.from >= whole.to - whole.from ? undefined : next;
      }),
    [whole],
  );
  const move = useCallback(
    (share: number) => setChosen((now) => (now === undefined ? now : moved(now, whole, share))),
    [whole],
  );
  const reveal = useCallback(
    (time: number) => setChosen((now) => (now === undefined ? now : revealing(now, whole, time))),
    [whole],
  );
  const fit = useCallback(() => setChosen(undefined), []);
  const show = useCallback((first: number, last: number) => setChosen(around(first, last, whole)), [whole]);
  return useMemo(
    () => ({ window, isFit: chosen === undefined, by, move, reveal, fit, show }),
    [window, chosen, by, move, reveal, fit, show],
  );
}
