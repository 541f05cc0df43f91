import { type FocusEvent, useCallback, useState } from "react";
import type { Active } from "./useTreeState";

/** The row in whose inside, a form perhaps, something is. */
export function rowWithin(target: EventTarget | null): HTMLElement | undefined {
  const inner = target instanceof Element ? target.closest("[data-inner]") : null;
  return inner?.closest<HTMLElement>("[data-key]") ?? undefined;
}

export interface FocusedRow {
  row: Active | undefined;
  onFocus(event: FocusEvent): void;
  onBlur(event: FocusEvent): void;
}

/** The row in which the focus is. It is held open, too: what happens elsewhere does not close it under who writes in it. */
export function useFocusedRow(open: (key: string) => void): FocusedRow {
  const [row, setRow] = useState<Active>();
  const onFocus = useCallback(
    (event: FocusEvent) => {
      const { key, index } = rowWithin(event.target)?.dataset ?? {};
      if (key === undefined) return;
      setRow((before) => (before?.key === key ? before : { key, index: Number(index) }));
      open(key);
    },
    [open],
  );
  const onBlur = useCallback((event: FocusEvent) => {
    const left = rowWithin(event.target);
    // The window lost the focus: the row has it again when the window has.
    if (left === undefined || document.activeElement === event.target) return;
    if (rowWithin(event.relatedTarget) !== left) setRow(undefined);
  }, []);
  return { row, onFocus, onBlur };
}
