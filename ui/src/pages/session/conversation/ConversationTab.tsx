import type { TabProps } from "../Session";

export function ConversationTab({ id }: TabProps) {
  return <p>{id}</p>;
}
