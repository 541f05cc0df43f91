import { type FocusEvent, type PointerEvent, useCallback, useEffect, useMemo, useRef } from "react";

type Reason = "pointer" | "focus" | "scroll";

/**
 * Holds the order of the list for as long as there is a reason: the pointer is over it, a row has the focus, or its
 * beginning is not in sight.
 */
export function useHeld(hold: (held: boolean) => void) {
  const reasons = useRef(new Set<Reason>());
  const set = useCallback(
    (reason: Reason, applies: boolean) => {
      const before = reasons.current.size;
      if (applies) reasons.current.add(reason);
      else reasons.current.delete(reason);
      if (before > 0 !== reasons.current.size > 0) hold(reasons.current.size > 0);
    },
    [hold],
  );
  // A list that is taken away has nothing over it.
  useEffect(() => () => hold(false), [hold]);
  return useMemo(
    () => ({
      whilePointed: {
        // A finger points only while it touches, and then it scrolls.
        onPointerEnter: (event: PointerEvent) => set("pointer", event.pointerType !== "touch"),
        onPointerMove: (event: PointerEvent) => set("pointer", event.pointerType !== "touch"),
        onPointerLeave: () => set("pointer", false),
      },
      whileFocused: {
        onFocus: () => set("focus", true),
        onBlur: (event: FocusEvent) => {
          if (!event.currentTarget.contains(event.relatedTarget)) set("focus", false);
        },
      },
      scrolled: (away: boolean) => set("scroll", away),
    }),
    [set],
  );
}
