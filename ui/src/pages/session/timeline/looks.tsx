import { AudioLines, Bot, CircleDot, Hourglass, Sparkles, Wrench } from "lucide-react";
import type { Category, Row } from "./layout";
import styles from "./Timeline.module.css";

/** How each sort of time is told apart: a word, a symbol, a colour and a pattern. */
export const LOOKS: Record<Category, { word: string; bar: string | undefined; tone: string | undefined }> = {
  llm: { word: "Model", bar: styles.barLlm, tone: styles.llm },
  tool: { word: "Tool", bar: styles.barTool, tone: styles.tool },
  agent: { word: "Agent", bar: styles.barAgent, tone: styles.agent },
  wait: { word: "Waiting", bar: styles.barWait, tone: styles.wait },
  other: { word: "Other", bar: styles.barOther, tone: styles.other },
};

const ICONS = { llm: Sparkles, tool: Wrench, agent: Bot, wait: Hourglass, other: CircleDot } as const;

export function CategoryIcon({ row }: { row: Pick<Row, "category" | "kind"> }) {
  const Icon = row.kind === "stream" ? AudioLines : ICONS[row.category];
  return <Icon size={13} aria-hidden className={LOOKS[row.category].tone} />;
}

/** What the row is, in a word. */
export function wordOf(row: Pick<Row, "category" | "kind">): string {
  return row.kind === "stream" ? "Stream" : LOOKS[row.category].word;
}
