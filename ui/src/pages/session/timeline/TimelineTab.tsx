import type { TabProps } from "../Session";

export function TimelineTab({ id }: TabProps) {
  return <p>{id}</p>;
}
