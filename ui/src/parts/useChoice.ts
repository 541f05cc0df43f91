import { useCallback, useEffect, useRef, useState } from "react";

/** The address follows this long after the last choice: keys that are held down choose faster than a router navigates. */
const SETTLE_MS = 150;

/** What is chosen in a list: at once here, a little later in the address; and what the address says when somebody else changes it. */
export function useChoice(
  inAddress: string | undefined,
  write: (choice: string | undefined) => void,
): [string | undefined, (choice: string | undefined) => void] {
  const [chosen, setChosen] = useState(inAddress);
  const written = useRef(inAddress);
  const writer = useRef(write);
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  useEffect(() => {
    writer.current = write;
  });
  useEffect(() => {
    if (inAddress === written.current) return;
    clearTimeout(timer.current);
    written.current = inAddress;
    setChosen(inAddress);
  }, [inAddress]);
  useEffect(() => () => clearTimeout(timer.current), []);
  const choose = useCallback((choice: string | undefined) => {
    setChosen(choice);
    clearTimeout(timer.current);
    // Who went on to another page meanwhile stays there: this one lives until that one has been drawn.
    const page = window.location.pathname;
    timer.current = setTimeout(() => {
      if (window.location.pathname !== page) return;
      written.current = choice;
      writer.current(choice);
    }, SETTLE_MS);
  }, []);
  return [chosen, choose];
}
