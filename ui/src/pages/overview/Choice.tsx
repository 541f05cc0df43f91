import styles from "./Overview.module.css";

interface Props {
  name: string;
  options: readonly { key: string; name: string }[];
  chosen: string;
  choose(key: string): void;
  /** The name stands before the options, rather than being only read out. */
  showsName?: boolean;
}

/** One of a few. */
export function Choice({ name, options, chosen, choose, showsName = false }: Props) {
  return (
    <fieldset className={styles.choice}>
      <legend className="visually-hidden">{name}</legend>
      {showsName && (
        <span className={styles.choiceName} aria-hidden="true">
          {name}
        </span>
      )}
      {options.map((option) => (
        <button
          key={option.key}
          type="button"
          aria-pressed={option.key === chosen}
          onClick={() => choose(option.key)}
        >
          {option.name}
        </button>
      ))}
    </fieldset>
  );
}
