import { useCallback, useEffect, useMemo, useRef, useState } from "react";
import { stepsAt, type Track } from "./schedule";

export const SPEEDS = ["1", "2", "10", "max"] as const;
export type Speed = (typeof SPEEDS)[number];

export interface Player {
  isPlaying: boolean;
  isAtEnd: boolean;
  /** Milliseconds from the first chunk. */
  position: number;
  /** Chunks that have come by then. */
  steps: number;
  speed: Speed;
  play(): void;
  pause(): void;
  restart(): void;
  seek(ms: number): void;
  setSpeed(speed: Speed): void;
}

/** At "max" a stream of whatever length is over after so many milliseconds. */
const SHORTEST_MS = 600;
/** The clock is drawn so often; the text whenever a chunk comes. */
const CLOCK_MS = 100;

/** Plays a track from its beginning, at the speed that was recorded or faster. */
export function usePlayer(track: Track): Player {
  const [isPlaying, setPlaying] = useState(true);
  const [speed, setSpeed] = useState<Speed>("1");
  const [position, setPosition] = useState(0);
  // The exact place, which is drawn only when there is something new to see.
  const exact = useRef(0);

  useEffect(() => {
    if (!isPlaying) return;
    const factor = speed === "max" ? Math.max(1, track.total / SHORTEST_MS) : Number(speed);
    let before = performance.now();
    let drawn = { steps: -1, at: 0 };
    let frame = 0;
    const tick = (now: number) => {
      // A page that was hidden goes on where it was.
      exact.current = Math.min(
        track.total,
        exact.current + Math.min(Math.max(0, now - before), 250) * factor,
      );
      before = now;
      const steps = stepsAt(track, exact.current);
      const isOver = exact.current >= track.total;
      if (steps !== drawn.steps || now - drawn.at >= CLOCK_MS || isOver) {
        drawn = { steps, at: now };
        setPosition(exact.current);
      }
      if (isOver) setPlaying(false);
      else frame = requestAnimationFrame(tick);
    };
    frame = requestAnimationFrame(tick);
    return () => cancelAnimationFrame(frame);
  }, [isPlaying, speed, track]);

  const seek = useCallback(
    (ms: number) => {
      exact.current = Math.max(0, Math.min(track.total, ms));
      setPosition(exact.current);
    },
    [track],
  );
  const restart = useCallback(() => {
    seek(0);
    setPlaying(true);
  }, [seek]);
  const isAtEnd = position >= track.total;
  const play = useCallback(() => {
    if (exact.current >= track.total) seek(0);
    setPlaying(true);
  }, [seek, track]);
  const pause = useCallback(() => setPlaying(false), []);
  const steps = stepsAt(track, position);
  return useMemo(
    () => ({ isPlaying, isAtEnd, position, steps, speed, play, pause, restart, seek, setSpeed }),
    [isPlaying, isAtEnd, position, steps, speed, play, pause, restart, seek],
  );
}
