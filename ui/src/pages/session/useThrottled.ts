import { useEffect, useRef, useState } from "react";

/** The value, but that changes of it are seen at most once in so many milliseconds. The last one is always seen. */
export function useThrottled<T>(value: T, ms: number): T {
  const [shown, show] = useState(value);
  const newest = useRef(value);
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  useEffect(() => {
    newest.current = value;
    if (Object.is(value, shown) || timer.current !== undefined) return;
    timer.current = setTimeout(() => {
      timer.current = undefined;
      show(() => newest.current);
    }, ms);
  }, [value, shown, ms]);
  useEffect(() => {
    return () => {
      clearTimeout(timer.current);
      timer.current = undefined;
    };
  }, []);
  return shown;
}
