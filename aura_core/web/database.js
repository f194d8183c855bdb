// @ts-check
// IndexedDB with promises: a connection that reopens itself, transactions that resolve once written, reads that survive
// damaged records.

/**
 * @template T
 * @param {IDBRequest<T>} request
 * @returns {Promise<T>}
 */
function answered(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

export class Database {
  #name;
  #create;
  /** @type {IDBDatabase | null} */
  #connection = null;
  /** @type {Promise<IDBDatabase> | undefined} */
  #opening;

  /**
   * @param {string} name
   * @param {(database: IDBDatabase) => void} create  makes the stores of a new database
   */
  constructor(name, create) {
    this.#name = name;
    this.#create = create;
  }

  /** Rejects if the browser blocks databases. */
  open() {
    this.#opening ??= this.#connect().catch((error) => {
      this.#opening = undefined;
      throw error;
    });
    return this.#opening;
  }

  async #connect() {
    const request = indexedDB.open(this.#name, 1); // throws if site data is blocked
    request.onupgradeneeded = () => this.#create(request.result);
    const connection = await answered(request);
    const gone = () => {
      this.#connection = null;
      this.#opening = undefined;
    };
    connection.onclose = gone; // the user has deleted the site's data
    connection.onversionchange = () => {
      connection.close(); // a newer page, or a deletion, must not wait for this connection
      gone();
    };
    return (this.#connection = connection);
  }

  /**
   * Write. With an open connection all requests are issued before this returns, since a page that is being closed has no
   * time for more.
   * @param {string[]} stores
   * @param {(transaction: IDBTransaction) => void} write  a write that reads first uses the requests' own callbacks
   * @param {{ commit?: boolean, durability?: IDBTransactionDurability }} [options]  commit: nothing is added in a callback
   * @returns {Promise<void>} resolves when it is stored
   */
  async write(stores, write, { commit = false, durability = "strict" } = {}) {
    const connection = this.#connection ?? (await this.open());
    const transaction = connection.transaction(stores, "readwrite", { durability });
    const kept = new Promise((resolve, reject) => {
      transaction.oncomplete = () => resolve(undefined);
      transaction.onabort = () => reject(transaction.error ?? new DOMException("the transaction was aborted", "AbortError"));
    });
    write(transaction);
    if (commit) transaction.commit();
    await kept;
  }

  /**
   * @template T
   * @param {string} store
   * @param {(store: IDBObjectStore) => IDBRequest<T>} read
   * @returns {Promise<T>}
   */
  async read(store, read) {
    const connection = await this.open();
    return answered(read(connection.transaction(store).objectStore(store)));
  }

  /**
   * The different keys of an index.
   * @param {string} store
   * @param {string} index
   * @returns {Promise<string[]>}
   */
  async keys(store, index) {
    const connection = await this.open();
    const request = connection.transaction(store).objectStore(store).index(index).openKeyCursor(null, "nextunique");
    /** @type {string[]} */
    const keys = [];
    return new Promise((resolve, reject) => {
      request.onerror = () => reject(request.error);
      request.onsuccess = () => {
        const cursor = request.result;
        if (!cursor) return resolve(keys);
        keys.push(String(cursor.key));
        cursor.continue();
      };
    });
  }

  /**
   * All records, or those with this key in an index. A damaged record does not affect the others.
   * @param {string} store
   * @param {{ index: string, key: string }} [by]
   * @returns {Promise<{ records: unknown[], damaged: number }>}
   */
  async readAll(store, by) {
    const source = (/** @type {IDBObjectStore} */ from) => (by ? from.index(by.index) : from);
    try {
      return { records: await this.read(store, (from) => source(from).getAll(by?.key)), damaged: 0 };
    } catch (error) {
      if (!this.#connection) throw error;
      const keys = await this.read(store, (from) => source(from).getAllKeys(by?.key));
      const records = [];
      let damaged = 0;
      for (const key of keys) {
        try {
          records.push(await this.read(store, (from) => from.get(key)));
        } catch {
          damaged++;
        }
      }
      return { records, damaged };
    }
  }
}
