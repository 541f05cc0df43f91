import type { TabProps } from "../Session";

export function TreeTab({ id }: TabProps) {
  return <p>{id}</p>;
}
