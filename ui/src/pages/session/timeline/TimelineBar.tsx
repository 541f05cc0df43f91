import clsx from "clsx";
import { ArrowRight, Maximize, ZoomIn, ZoomOut } from "lucide-react";
import type { Phase } from "../../../api/types";
import { brief } from "../../../format";
import { Button } from "../../../parts/Button";
import { Status } from "../../../parts/Status";
import type { Category } from "./layout";
import { LOOKS } from "./looks";
import styles from "./Timeline.module.css";
import type { Zoom } from "./useZoom";

interface Props {
  name: string;
  names: string[];
  newer: string | undefined;
  phase: Phase | undefined;
  zoom: Zoom;
  isTruncated: boolean;
  onQuery(name: string): void;
}

const SHOWN: Category[] = ["llm", "tool", "agent", "wait", "other"];

/** Which query is seen, what the bars mean, and how near they are. */
export function TimelineBar({ name, names, newer, phase, zoom, isTruncated, onQuery }: Props) {
  return (
    <div className={styles.tools}>
      <label className={styles.query}>
        <span className="visually-hidden">Query</span>
        <select value={name} onChange={(event) => onQuery(event.target.value)}>
          {names.map((each) => (
            <option key={each} value={each}>
              {brief(each, 80)}
            </option>
          ))}
        </select>
      </label>
      {phase !== undefined && <Status of={phase} />}
      <span role="status">
        {newer !== undefined && (
          <Button onClick={() => onQuery(newer)} title={`Show ${brief(newer, 80)}`}>
            <ArrowRight size={14} aria-hidden /> A newer query has begun
          </Button>
        )}
      </span>
      {isTruncated && <span className={styles.truncated}>The trace is longer than what is shown</span>}
      <ul className={styles.legend} aria-label="What the bars mean">
        {SHOWN.map((each) => (
          <li key={each}>
            <span className={clsx(styles.swatch, LOOKS[each].bar)} aria-hidden />
            {LOOKS[each].word}
          </li>
        ))}
        <li>
          <span className={styles.firstSwatch} aria-hidden />
          First token
        </li>
      </ul>
      <fieldset className={styles.zoom}>
        <legend className="visually-hidden">Zoom</legend>
        <Button onClick={() => zoom.by(2)} disabled={zoom.isFit} aria-label="Zoom out" title="Zoom out (-)">
          <ZoomOut size={14} aria-hidden />
        </Button>
        <Button onClick={() => zoom.by(0.5)} aria-label="Zoom in" title="Zoom in (+, or Ctrl and the wheel)">
          <ZoomIn size={14} aria-hidden />
        </Button>
        <Button onClick={zoom.fit} disabled={zoom.isFit} aria-label="Show all" title="Show all (0)">
          <Maximize size={14} aria-hidden />
        </Button>
      </fieldset>
    </div>
  );
}
