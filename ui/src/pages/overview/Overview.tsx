import { Notice } from "../../parts/Notice";

export function Overview() {
  return <Notice title="Overview" />;
}
