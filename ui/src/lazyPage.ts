import type { ComponentType } from "react";

/** Remembers, for as long as the tab is open, which build it was reloaded in the hope of. */
const KEY = "ark-broker.reloaded-from";

interface Options {
  /** Tells one build from the next: its files have names of their own. */
  build?: string;
  storage?: Pick<Storage, "getItem" | "setItem">;
}

/**
 * A page that is fetched when it is needed. After an upgrade a tab that was open asks for files of the build before, which
 * are gone: `reload` is called, once. Whoever has been reloaded and is the same build still is told what is wrong.
 */
export async function lazyPage(
  load: () => Promise<ComponentType>,
  reload: () => void,
  options: Options = {},
) {
  try {
    return { Component: await load() };
  } catch (error) {
    if (!isFirst(options.build ?? import.meta.url, options.storage)) throw error;
    reload();
    // The page stays as it is until the new one is there.
    return new Promise<never>(() => undefined);
  }
}

/** False too where nothing can be remembered: rather no reload than one after the other. */
function isFirst(build: string, storage: Options["storage"]): boolean {
  try {
    const remembered = storage ?? window.sessionStorage;
    if (remembered.getItem(KEY) === build) return false;
    remembered.setItem(KEY, build);
    return true;
  } catch {
    return false;
  }
}
