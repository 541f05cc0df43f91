import { Pause, Play, RotateCcw } from "lucide-react";
import { memo, useDeferredValue, useId, useMemo, useState } from "react";
import { count, printable } from "../../../format";
import { Button } from "../../../parts/Button";
import { Copy } from "../../../parts/Copy";
import { Markdown } from "../../../parts/Markdown";
import styles from "./replay.module.css";
import { type Scene, sceneAt, type Track, wholeText } from "./schedule";
import { type Player as Controls, SPEEDS, type Speed, usePlayer } from "./usePlayer";

/** Types a recorded stream out again. */
export function Player({ track }: { track: Track }) {
  const player = usePlayer(track);
  const [isMarkdown, setMarkdown] = useState(true);
  const scene = useMemo(() => sceneAt(track, player.steps), [track, player.steps]);
  // Drawn when there is time for it: the controls answer at once.
  const shown = useDeferredValue(scene);
  return (
    <section className={styles.player} aria-label="Replay">
      <div className={styles.bar}>
        <Button primary onClick={player.isPlaying ? player.pause : player.play}>
          {player.isPlaying ? <Pause size={14} aria-hidden /> : <Play size={14} aria-hidden />}
          {player.isPlaying ? "Pause" : player.isAtEnd ? "Play again" : "Play"}
        </Button>
        <Button onClick={player.restart} aria-label="Restart" title="Restart">
          <RotateCcw size={14} aria-hidden />
        </Button>
        <Scrubber track={track} player={player} />
        <Speeds player={player} />
      </div>
      <div className={styles.text}>
        <Text scene={shown} isMarkdown={isMarkdown} isTyping={player.isPlaying} />
      </div>
      <div className={styles.foot}>
        <span className={styles.tokens}>
          {count(scene.tokens)} of {count(track.tokens.at(-1) ?? 0)} tokens
        </span>
        <button
          type="button"
          className={styles.quiet}
          aria-pressed={isMarkdown}
          onClick={() => setMarkdown(!isMarkdown)}
        >
          {isMarkdown ? "Plain" : "Markdown"}
        </button>
        <Copy text={() => wholeText(track)} label="Copy text" />
      </div>
      <p className="visually-hidden" role="status">
        {player.isPlaying ? "Playing" : player.isAtEnd ? "The replay is at its end" : "Paused"}
      </p>
    </section>
  );
}

function Scrubber({ track, player }: { track: Track; player: Controls }) {
  const spoken = `${seconds(player.position)} of ${seconds(track.total)}`;
  return (
    <>
      <input
        className={styles.scrubber}
        type="range"
        min={0}
        max={track.total === 0 ? 1 : track.total}
        step="any"
        value={track.total === 0 ? 1 : player.position}
        aria-label="Position"
        aria-valuetext={spoken}
        onPointerDown={player.pause}
        onKeyDown={(event) => {
          const by = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1 }[event.key];
          if (by === undefined) return;
          event.preventDefault();
          player.seek(player.position + (by * Math.max(track.total, 1)) / 50);
        }}
        onChange={(event) => player.seek(event.target.valueAsNumber)}
      />
      <span className={styles.clock}>
        {seconds(player.position)} / {seconds(track.total)}
      </span>
    </>
  );
}

function Speeds({ player }: { player: Controls }) {
  const name = useId();
  return (
    <fieldset className={styles.speeds}>
      <legend className="visually-hidden">Pace</legend>
      {SPEEDS.map((speed: Speed) => (
        <label key={speed} title={speed === "1" ? "As it was recorded" : undefined}>
          <input
            type="radio"
            name={name}
            checked={player.speed === speed}
            onChange={() => player.setSpeed(speed)}
          />
          <span>{speed === "max" ? "max" : `${speed}×`}</span>
        </label>
      ))}
    </fieldset>
  );
}

interface TextProps {
  scene: Scene;
  isMarkdown: boolean;
  isTyping: boolean;
}

const Text = memo(function Text({ scene, isMarkdown, isTyping }: TextProps) {
  if (scene.channels.length === 0) return <p className={styles.nothing}>…</p>;
  const last = scene.channels.length - 1;
  return scene.channels.map((channel, place) => {
    const isGrowing = isTyping && place === last;
    if (channel.kind === "tool") {
      return (
        // biome-ignore lint/suspicious/noArrayIndexKey: channels are only ever added at the end
        <pre key={place} className={styles.tool}>
          <strong>{printable(channel.name ?? "tool")}</strong>({printable(channel.text)}
          {isGrowing ? <Caret /> : ")"}
        </pre>
      );
    }
    return (
      // biome-ignore lint/suspicious/noArrayIndexKey: channels are only ever added at the end
      <div key={place} className={channel.kind === "reasoning" ? styles.reasoning : styles.said}>
        {channel.kind === "reasoning" && <span className={styles.label}>Reasoning</span>}
        {isMarkdown ? <Markdown text={channel.text} /> : <pre>{printable(channel.text)}</pre>}
        {isGrowing && <Caret />}
      </div>
    );
  });
});

function Caret() {
  return <span className={styles.caret} aria-hidden />;
}

function seconds(ms: number): string {
  const all = Math.max(0, ms) / 1000;
  const minutes = Math.floor(all / 60);
  return `${minutes}:${(all % 60).toFixed(1).padStart(4, "0")}`;
}
