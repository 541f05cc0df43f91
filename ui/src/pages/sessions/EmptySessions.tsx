import { Button } from "../../parts/Button";
import { Copy } from "../../parts/Copy";
import { Notice } from "../../parts/Notice";
import styles from "./Sessions.module.css";

/** What stands where no session does. */
export function EmptySessions({ isFiltered, clear }: { isFiltered: boolean; clear: () => void }) {
  if (isFiltered) {
    return (
      <Notice title="No session matches">
        <p>A session that does will appear here by itself.</p>
        <Button onClick={clear}>Clear the filters</Button>
      </Notice>
    );
  }
  const { origin } = window.location;
  return (
    <Notice title="No sessions yet">
      <p>They appear here the moment an agent says something. To see one build itself:</p>
      <Command text={`ARK_BROKER_URL=${origin} ark-broker demo`} />
      <p>To watch your own agents, point their OpenTelemetry exporter at this broker:</p>
      <Command text={`export OTEL_EXPORTER_OTLP_ENDPOINT=${origin}`} />
    </Notice>
  );
}

function Command({ text }: { text: string }) {
  return (
    <div className={styles.command}>
      <code>{text}</code>
      <Copy text={text} />
    </div>
  );
}
