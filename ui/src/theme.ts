import { useEffect, useState } from "react";

export type Theme = "system" | "dark" | "light";

const KEY = "ark-broker-theme";

/** The theme that was chosen, kept in the browser; "system" follows the machine. */
export function useTheme(): [Theme, (theme: Theme) => void] {
  const [theme, setTheme] = useState<Theme>(() => {
    const kept = localStorage.getItem(KEY);
    return kept === "dark" || kept === "light" ? kept : "system";
  });
  useEffect(() => {
    const machine = matchMedia("(prefers-color-scheme: dark)");
    const apply = () => {
      const isDark = theme === "dark" || (theme === "system" && machine.matches);
      document.documentElement.dataset.theme = isDark ? "dark" : "light";
    };
    apply();
    localStorage.setItem(KEY, theme);
    machine.addEventListener("change", apply);
    return () => machine.removeEventListener("change", apply);
  }, [theme]);
  return [theme, setTheme];
}
