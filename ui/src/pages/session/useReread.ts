import { useEffect, useRef } from "react";
import { type Read, Rereader } from "./reread";

interface Options {
  /** What is read: another one begins anew, and is read by whoever shows it. */
  key: string;
  /** Grows with everything that happens to it. */
  revision: number;
  /** Nothing is expected to happen to it any more. */
  isOver: boolean;
}

/** Calls `read`, not too often, whenever `revision` has grown. */
export function useReread(read: Read, { key, revision, isOver }: Options): void {
  const newest = useRef(read);
  const rereader = useRef<Rereader>(undefined);
  const seen = useRef({ key, revision, isOver });
  useEffect(() => {
    newest.current = read;
  });
  // biome-ignore lint/correctness/useExhaustiveDependencies: what was to be read of another is not
  useEffect(() => {
    const own = new Rereader(() => newest.current());
    rereader.current = own;
    return () => own.stop();
  }, [key]);
  useEffect(() => {
    const before = seen.current;
    seen.current = { key, revision, isOver };
    if (before.key !== key || before.revision === revision) return;
    rereader.current?.changed(isOver && !before.isOver);
  }, [key, revision, isOver]);
}
