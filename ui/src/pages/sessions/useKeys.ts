import { useCallback, useEffect, useRef, useState } from "react";

const KEPT = "ark-broker-keys";

/** Whether single keys do something: who speaks to the machine, or types with a stick, can turn them off. */
export function useKeysOn(): [boolean, (on: boolean) => void] {
  const [on, setOn] = useState(() => localStorage.getItem(KEPT) !== "off");
  const set = useCallback((value: boolean) => {
    localStorage.setItem(KEPT, value ? "on" : "off");
    setOn(value);
  }, []);
  return [on, set];
}

/** Calls the action of a key that was pressed anywhere but in a field or a dialog. */
export function useKeys(on: boolean, actions: Readonly<Record<string, () => void>>): void {
  const latest = useRef(actions);
  latest.current = actions;
  useEffect(() => {
    if (!on) return;
    const pressed = (event: KeyboardEvent) => {
      if (
        event.defaultPrevented ||
        event.ctrlKey ||
        event.metaKey ||
        event.altKey ||
        isElsewhere(event.target)
      )
        return;
      const action = latest.current[event.key];
      if (action === undefined) return;
      event.preventDefault();
      action();
    };
    document.addEventListener("keydown", pressed);
    return () => document.removeEventListener("keydown", pressed);
  }, [on]);
}

function isElsewhere(target: EventTarget | null): boolean {
  return (
    target instanceof Element &&
    target.closest("input, select, textarea, [contenteditable], [role=dialog]") !== null
  );
}
