import { describe, expect, it, vi } from "vitest";
import { lazyPage } from "./lazyPage";

const Page = () => null;
const gone = () => Promise.reject(new TypeError("Failed to fetch dynamically imported module"));

function store() {
  const kept = new Map<string, string>();
  return {
    getItem: (key: string) => kept.get(key) ?? null,
    setItem: (key: string, value: string) => void kept.set(key, value),
  };
}

/** Which of them is settled first. */
const first = (page: Promise<unknown>) =>
  Promise.race([
    page.then(
      () => "shown",
      () => "refused",
    ),
    new Promise((done) => setTimeout(done, 0, "reloading")),
  ]);

describe("a page that is fetched when it is needed", () => {
  it("is shown when it is there", async () => {
    expect(await lazyPage(async () => Page, vi.fn())).toEqual({ Component: Page });
  });

  it("that is gone reloads a build once, and the next build again", async () => {
    const reload = vi.fn();
    const storage = store();
    expect(await first(lazyPage(gone, reload, { build: "a", storage }))).toBe("reloading");
    expect(await first(lazyPage(gone, reload, { build: "a", storage }))).toBe("refused");
    expect(reload).toHaveBeenCalledTimes(1);
    expect(await first(lazyPage(gone, reload, { build: "b", storage }))).toBe("reloading");
    expect(reload).toHaveBeenCalledTimes(2);
  });

  it("reloads nothing where that could not be remembered", async () => {
    const reload = vi.fn();
    const getItem = () => {
      throw new DOMException("denied", "SecurityError");
    };
    expect(await first(lazyPage(gone, reload, { storage: { ...store(), getItem } }))).toBe("refused");
    expect(reload).not.toHaveBeenCalled();
  });
});
