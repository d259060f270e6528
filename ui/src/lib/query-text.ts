// The line above a list of runs: "status:failed env:staging tag:smoke flow:Checkout since:2h".
// It is the address, said as a text: each is made of the other.

export interface RunQuery {
  status?: string;
  env?: string;
  tag?: string;
  flow?: string;
  since?: string;
  batch?: string;
}

const keys = ["status", "env", "tag", "flow", "since", "batch"] as const;

export const statuses = ["queued", "offered", "running", "finishing", "passed", "failed", "errored", "cancelled", "skipped"] as const;

// groups are words for several statuses.
const groups: Record<string, readonly string[]> = {
  active: ["queued", "offered", "running", "finishing"],
  ended: ["passed", "failed", "errored", "cancelled", "skipped"],
};

const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

const units: Record<string, number> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 };

// parseQuery reads the line; problem says in a sentence what of it is not understood.
export function parseQuery(text: string): { query: RunQuery; problem: string } {
  const query: RunQuery = {};
  for (const [, key = "", quoted, bare, lone] of text.matchAll(/(\w+):(?:"([^"]*)"|(\S*))|(\S+)/g)) {
    if (lone !== undefined) return { query, problem: `“${lone}” is no filter: write one as key:value, with the keys ${keys.join(", ")}.` };
    const known = keys.find((one) => one === key);
    if (known === undefined) return { query, problem: `There is no filter “${key}”: there are ${keys.join(", ")}.` };
    const value = quoted ?? bare ?? "";
    if (value !== "") query[known] = value;
  }
  return { query, problem: check(query) };
}

// check says what is wrong with the values of a query, as an address may bring them.
export function check(query: RunQuery): string {
  const bad = query.status?.split(",").find((one) => statusNames(one).length === 0);
  if (bad !== undefined) return `There is no status “${bad}”: there are ${[...statuses, ...Object.keys(groups)].join(", ")}.`;
  if (query.since !== undefined && sinceMillis(query.since) === null) return `since:${query.since} is no time: write 30m, 2h, 7d or a date.`;
  if (query.batch !== undefined && !uuid.test(query.batch)) return `batch:${query.batch} is no id of a batch.`;
  return "";
}

export function printQuery(query: RunQuery): string {
  return keys
    .flatMap((key) => {
      const value = query[key];
      if (value === undefined || value === "") return [];
      return [`${key}:${/[\s"]/.test(value) ? `"${value.replaceAll('"', "")}"` : value}`];
    })
    .join(" ");
}

export function statusNames(word: string): readonly string[] {
  return groups[word] ?? statuses.filter((status) => status === word);
}

// sinceMillis is how long ago, or null. A date counts from its beginning.
export function sinceMillis(since: string, now = Date.now()): number | null {
  const [, n, unit] = /^(\d{1,6})([smhdw])$/.exec(since) ?? [];
  if (n !== undefined && unit !== undefined) return Number(n) * (units[unit] ?? 0);
  const at = /^\d{4}-\d\d-\d\d/.test(since) ? Date.parse(since) : Number.NaN;
  return Number.isNaN(at) ? null : Math.max(now - at, 0);
}
