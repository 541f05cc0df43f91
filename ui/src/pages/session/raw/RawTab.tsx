import type { TabProps } from "../Session";

export function RawTab({ id }: TabProps) {
  return <p>{id}</p>;
}
