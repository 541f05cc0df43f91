import clsx from "clsx";
import type { ButtonHTMLAttributes } from "react";
import styles from "./parts.module.css";

interface Props extends ButtonHTMLAttributes<HTMLButtonElement> {
  primary?: boolean;
}

export function Button({ primary = false, className, type = "button", ...rest }: Props) {
  return (
    <button type={type} className={clsx(styles.button, primary && styles.primary, className)} {...rest} />
  );
}
