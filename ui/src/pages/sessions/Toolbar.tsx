import { Search, X } from "lucide-react";
import { memo, type RefObject, useId } from "react";
import { Button } from "../../parts/Button";
import { type Filters, SINCE } from "./filters";
import styles from "./Sessions.module.css";
import { useDraft } from "./useDraft";

interface Props {
  filters: Filters;
  set(name: keyof Filters, value: string | undefined): void;
  clear(): void;
  search: RefObject<HTMLInputElement | null>;
  agents: readonly string[];
  namespaces: readonly string[];
}

/** What narrows the list. */
export const Toolbar = memo(function Toolbar(props: Props) {
  const { filters, set, clear, search, agents, namespaces } = props;
  const [q, typeQ] = useDraft(filters.q ?? "", (value) => set("q", value));
  const hasFilters = Object.keys(filters).length > 0;
  const isOwnTime = filters.since !== undefined && !SINCE.some(({ value }) => value === filters.since);
  return (
    <search className={styles.toolbar}>
      <label className={styles.search}>
        <Search size={15} aria-hidden />
        <span className="visually-hidden">Search sessions</span>
        <input
          ref={search}
          type="search"
          placeholder="Search ids, queries, agents"
          maxLength={200}
          value={q}
          onChange={(event) => typeQ(event.target.value)}
          onKeyDown={(event) => {
            if (event.key === "Escape" && q === "") event.currentTarget.blur();
          }}
        />
        <span className={styles.key} aria-hidden="true">
          /
        </span>
      </label>
      <NameField name="Agent" value={filters.agent} names={agents} set={(value) => set("agent", value)} />
      {(namespaces.length > 0 || filters.namespace !== undefined) && (
        <NameField
          name="Namespace"
          value={filters.namespace}
          names={namespaces}
          set={(value) => set("namespace", value)}
        />
      )}
      <label>
        <span className="visually-hidden">Active since</span>
        <select value={filters.since ?? ""} onChange={(event) => set("since", event.target.value)}>
          <option value="">Any time</option>
          {SINCE.map(({ value, name }) => (
            <option key={value} value={value}>
              {name}
            </option>
          ))}
          {isOwnTime && <option value={filters.since}>Since {filters.since}</option>}
        </select>
      </label>
      {hasFilters && (
        <Button onClick={clear}>
          <X size={14} aria-hidden /> Clear
        </Button>
      )}
    </search>
  );
});

interface NameFieldProps {
  name: string;
  value: string | undefined;
  names: readonly string[];
  set(value: string): void;
}

function NameField({ name, value, names, set }: NameFieldProps) {
  const list = useId();
  const [draft, type] = useDraft(value ?? "", set);
  return (
    <label className={styles.nameField}>
      <span className="visually-hidden">{name}</span>
      <input
        type="search"
        list={list}
        placeholder={name}
        maxLength={256}
        value={draft}
        onChange={(event) => type(event.target.value)}
      />
      <datalist id={list}>
        {names.map((each) => (
          <option key={each} value={each} />
        ))}
      </datalist>
    </label>
  );
}
