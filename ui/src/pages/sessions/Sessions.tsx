import { Notice } from "../../parts/Notice";

export function Sessions() {
  return <Notice title="Sessions" />;
}
