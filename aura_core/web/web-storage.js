// @ts-check
// Small values that a tab or a browser stores. If the browser blocks storage, they last as long as the page.

/**
 * @param {() => Storage} storage  reading the property throws if site data is blocked
 */
function remembered(storage) {
  /** @type {Map<string, string>} */
  const here = new Map();
  return {
    /** @param {string} key */
    get(key) {
      try {
        return here.get(key) ?? storage().getItem(key);
      } catch {
        return here.get(key) ?? null;
      }
    },
    /**
     * @param {string} key
     * @param {string} value
     */
    set(key, value) {
      here.delete(key);
      try {
        storage().setItem(key, value);
      } catch {
        here.set(key, value); // blocked, or full
      }
    },
    /** @param {string} key */
    remove(key) {
      here.delete(key);
      try {
        storage().removeItem(key);
      } catch {
        // Blocked storage is empty.
      }
    },
    /** Whether the browser blocks this site's data. */
    get blocked() {
      try {
        return !storage();
      } catch {
        return true;
      }
    },
    keys() {
      try {
        return Object.keys(storage());
      } catch {
        return [];
      }
    },
  };
}

/** Until this tab is closed. */
export const tabStorage = remembered(() => sessionStorage);
/** For good. */
export const browserStorage = remembered(() => localStorage);
