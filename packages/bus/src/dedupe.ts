/**
 * The keys that a topic has seen, so that the same frame of the same publisher is delivered once.
 *
 * 1. Seeing a key twice within `ageMs` answers true the second time, as long as the key has not been evicted.
 * 2. At most `keysMax` keys; the oldest leaves first, and leaving before its age is counted.
 * 3. No allocation for a frame: keys are seven 32-bit words in a ring, found through chains of a hash table.
 */
const words = 7;
const empty = -1;
const firstCapacity = 64;

export class DedupeTable {
  readonly #keysMax: number;
  readonly #ageMs: number;
  #capacity = 0;
  #keys = new Uint32Array(0);
  #seenAt = new Float64Array(0);
  #next = new Int32Array(0);
  #heads = new Int32Array(0);
  #oldest = 0;
  #size = 0;
  #evictions = 0;
  readonly #key = new Uint32Array(words);

  constructor(keysMax: number, ageMs: number) {
    this.#keysMax = keysMax;
    this.#ageMs = ageMs;
    this.#grow(Math.min(firstCapacity, keysMax));
  }

  get size(): number {
    return this.#size;
  }

  /** Keys that fit before the table grows again. */
  get capacity(): number {
    return this.#capacity;
  }

  /** Keys that had to leave before their age. */
  get evictions(): number {
    return this.#evictions;
  }

  /** When the youngest key was seen; a table older than the age can be forgotten. */
  get youngestMs(): number {
    return this.#size === 0
      ? Number.NEGATIVE_INFINITY
      : (this.#seenAt[(this.#oldest + this.#size - 1) % this.#capacity] ?? 0);
  }

  /** Was this key seen? It is now. `trace` is where the 16 + 8 bytes of trace id and message id stand in `bytes`. */
  seen(principal: number, bytes: Uint8Array, trace: number, msgId: number, nowMs: number): boolean {
    const key = this.#key;
    key[0] = principal;
    for (let i = 0; i < 4; i += 1) key[i + 1] = word(bytes, trace + i * 4);
    key[5] = word(bytes, msgId);
    key[6] = word(bytes, msgId + 4);
    this.#forgetAged(nowMs);
    const hash = this.#hash(key, 0);
    const chain = hash & (this.#heads.length - 1);
    for (let slot = this.#heads[chain] ?? empty; slot !== empty; slot = this.#next[slot] ?? empty) {
      if (this.#isKey(slot)) return true;
    }
    this.#add(chain, nowMs);
    return false;
  }

  #isKey(slot: number): boolean {
    const at = slot * words;
    for (let i = 0; i < words; i += 1) if (this.#keys[at + i] !== this.#key[i]) return false;
    return true;
  }

  #add(chain: number, nowMs: number): void {
    let head = chain;
    if (this.#size === this.#capacity) {
      if (this.#capacity < this.#keysMax) {
        this.#grow(Math.min(this.#capacity * 2, this.#keysMax));
        head = this.#hash(this.#key, 0) & (this.#heads.length - 1);
      } else {
        this.#evictions += 1;
        this.#dropOldest();
      }
    }
    const slot = (this.#oldest + this.#size) % this.#capacity;
    this.#keys.set(this.#key, slot * words);
    this.#seenAt[slot] = nowMs;
    this.#next[slot] = this.#heads[head] ?? empty;
    this.#heads[head] = slot;
    this.#size += 1;
  }

  #forgetAged(nowMs: number): void {
    while (this.#size > 0 && (this.#seenAt[this.#oldest] ?? 0) + this.#ageMs < nowMs) this.#dropOldest();
  }

  #dropOldest(): void {
    const slot = this.#oldest;
    const chain = this.#hash(this.#keys, slot * words) & (this.#heads.length - 1);
    let at = this.#heads[chain] ?? empty;
    if (at === slot) this.#heads[chain] = this.#next[slot] ?? empty;
    else {
      while (at !== empty && this.#next[at] !== slot) at = this.#next[at] ?? empty;
      if (at !== empty) this.#next[at] = this.#next[slot] ?? empty;
    }
    this.#oldest = (slot + 1) % this.#capacity;
    this.#size -= 1;
  }

  #hash(from: Uint32Array, at: number): number {
    let hash = 0x811c9dc5;
    for (let i = 0; i < words; i += 1) {
      hash = Math.imul(hash ^ (from[at + i] ?? 0), 0x9e3779b1);
      hash ^= hash >>> 15;
    }
    return hash >>> 0;
  }

  #grow(capacity: number): void {
    const keys = new Uint32Array(capacity * words);
    const seenAt = new Float64Array(capacity);
    for (let i = 0; i < this.#size; i += 1) {
      const slot = (this.#oldest + i) % this.#capacity;
      keys.set(this.#keys.subarray(slot * words, slot * words + words), i * words);
      seenAt[i] = this.#seenAt[slot] ?? 0;
    }
    this.#keys = keys;
    this.#seenAt = seenAt;
    this.#capacity = capacity;
    this.#oldest = 0;
    this.#next = new Int32Array(capacity);
    this.#heads = new Int32Array(1 << Math.ceil(Math.log2(capacity * 2))).fill(empty);
    for (let i = 0; i < this.#size; i += 1) {
      const chain = this.#hash(keys, i * words) & (this.#heads.length - 1);
      this.#next[i] = this.#heads[chain] ?? empty;
      this.#heads[chain] = i;
    }
  }
}

function word(bytes: Uint8Array, at: number): number {
  return ((bytes[at] ?? 0) << 24) | ((bytes[at + 1] ?? 0) << 16) | ((bytes[at + 2] ?? 0) << 8) | (bytes[at + 3] ?? 0);
}
