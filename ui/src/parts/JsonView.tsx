import { JsonView as View } from "react-json-view-lite";
import type { Json } from "../api/types";
import { printable } from "../format";
import styles from "./parts.module.css";

const LOOK = {
  container: styles.json ?? "",
  basicChildStyle: "",
  childFieldsContainer: "",
  label: styles.jsonLabel ?? "",
  clickableLabel: styles.jsonLabel ?? "",
  nullValue: styles.jsonOther ?? "",
  undefinedValue: styles.jsonOther ?? "",
  numberValue: styles.jsonNumber ?? "",
  stringValue: styles.jsonString ?? "",
  booleanValue: styles.jsonOther ?? "",
  otherValue: styles.jsonOther ?? "",
  punctuation: styles.jsonPunctuation ?? "",
  expandIcon: styles.jsonExpand ?? "",
  collapseIcon: styles.jsonCollapse ?? "",
  collapsedContent: styles.jsonMore ?? "",
  noQuotesForStringValues: false,
};

/** A JSON value that opens and closes. Everything in it is text, whatever it looks like. */
export function JsonView({ value, depth = 2 }: { value: Json; depth?: number }) {
  if (typeof value !== "object" || value === null) {
    return (
      <pre className={styles.json}>
        {typeof value === "string" ? printable(value) : JSON.stringify(value)}
      </pre>
    );
  }
  return <View data={value} style={LOOK} shouldExpandNode={(level) => level < depth} />;
}
