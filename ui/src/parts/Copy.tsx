import { Check, Copy as CopyIcon } from "lucide-react";
import { useState } from "react";
import { Button } from "./Button";

/** Puts a text on the clipboard, and says that it did. */
export function Copy({ text, label = "Copy" }: { text: string | (() => string); label?: string }) {
  const [copied, setCopied] = useState<"no" | "yes" | "failed">("no");
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(typeof text === "string" ? text : text());
      setCopied("yes");
    } catch {
      setCopied("failed");
    }
    setTimeout(() => setCopied("no"), 1500);
  };
  return (
    <Button onClick={() => void copy()} aria-label={label}>
      {copied === "yes" ? <Check size={14} aria-hidden /> : <CopyIcon size={14} aria-hidden />}
      <span aria-live="polite">
        {copied === "no" ? label : copied === "yes" ? "Copied" : "No clipboard here"}
      </span>
    </Button>
  );
}
