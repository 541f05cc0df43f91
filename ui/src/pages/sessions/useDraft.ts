import { useCallback, useEffect, useRef, useState } from "react";

const PAUSE_MS = 250;

/** What is typed into a field whose value lives elsewhere, and goes there when the typing pauses. */
export function useDraft(value: string, commit: (value: string) => void): [string, (draft: string) => void] {
  const [draft, setDraft] = useState(value);
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  const sent = useRef(value);
  const latest = useRef(commit);
  latest.current = commit;

  useEffect(() => {
    // What comes back is what was sent; anything else came from the address, or from a button.
    if (value === sent.current) return;
    clearTimeout(timer.current);
    sent.current = value;
    setDraft(value);
  }, [value]);
  useEffect(() => () => clearTimeout(timer.current), []);

  const type = useCallback((text: string) => {
    setDraft(text);
    clearTimeout(timer.current);
    timer.current = setTimeout(() => {
      sent.current = text.trim();
      latest.current(text);
    }, PAUSE_MS);
  }, []);
  return [draft, type];
}
