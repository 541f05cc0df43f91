import type { Delivery } from "../../../api/types";

export type Health = "delivering" | "behind" | "failing";

const UPSTREAM = "otlp:";
const WEBHOOK = "webhook:";

/** Positions that a delivery may be behind while it does its work: they come in between two looks. */
const FEW = 50;

export function healthOf({ failures, lag }: Pick<Delivery, "failures" | "lag">): Health {
  if (failures > 0) return "failing";
  return lag > FEW ? "behind" : "delivering";
}

export function kindOf({ name }: Pick<Delivery, "name">): string {
  if (name.startsWith(UPSTREAM)) return "OTLP upstream";
  return name.startsWith(WEBHOOK) ? "webhook" : "delivery";
}

/** Its own name, and where it leads if that does not say so. */
export function nameOf({ name, to }: Pick<Delivery, "name" | "to">): string {
  const own = [UPSTREAM, WEBHOOK].reduce(
    (text, prefix) => (text.startsWith(prefix) ? text.slice(prefix.length) : text),
    name,
  );
  return to.includes(own) ? to : `${own} → ${to}`;
}
